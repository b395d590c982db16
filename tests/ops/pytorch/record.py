"""Records what PyTorch answers to the samples of its own operators' tests (op_db): values, first and second
derivatives. replay.cpp asks Gradweave for the same.

    ./dev record

One line of JSON an entry: {"name", "samples": [{"args", "kwargs", "out", "first", "second"}]}. Inputs of more
than `whole` elements are drawn again from a seed, in the range that they had; results of more than `tiny` are
three projections on fixed directions, and the element of the largest magnitude.
"""
import gzip
import json
import math
import sys
import warnings
import zlib

import numpy
import torch
from torch.testing._internal.common_methods_invocations import op_db

whole, tiny = 32, 6
ordered = ("searchsorted", "bucketize")  # whole, too, but rounded
# Their inputs have a structure that others drawn in the same range would not have.
structured = ("cholesky", "linalg.", "lu", "logdet", "triangular_solve", "pinverse", "svd", "qr", "ormqr", "geqrf",
              "masked.", "nn.functional.ctc_loss", "nn.functional.max_unpool",
              "multinomial", "nn.functional.binary_cross_entropy", "quantile", "nanquantile", "histogram",
              "nn.functional.multilabel", "nn.functional.kl_div", "igamma", "_segment", "nn.functional.batch_norm")


def hashed(seed, count):
    """`count` numbers in [0, 1): splitmix64 (Steele, Lea, Flood, 2014) of seed and place."""
    z = numpy.arange(1, count + 1, dtype=numpy.uint64) * numpy.uint64(0x9E3779B97F4A7C15)
    z += numpy.uint64(seed) * numpy.uint64(0xD1B54A32D192ED03)
    z = (z ^ (z >> numpy.uint64(30))) * numpy.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> numpy.uint64(27))) * numpy.uint64(0x94D049BB133111EB)
    z ^= z >> numpy.uint64(31)
    return (z >> numpy.uint64(11)).astype(numpy.float64) * 2.0**-53


def direction(seed, shape):
    return torch.from_numpy(hashed(seed, math.prod(shape)) * 2 - 1).reshape(shape)


class Unrecordable(Exception):
    """A sample with what Gradweave has not: complex numbers, sparse tensors, objects of Python."""


def number(x):
    x = float(x)
    if not math.isfinite(x):
        return {"x": repr(x)}
    short = float(f"{x:.13g}")
    return int(short) if short == int(short) and abs(short) < 2**53 else short


class Recorder:
    def __init__(self, name):
        self.name, self.seed, self.keep = name, 0, name.startswith(structured)
        self.leaves = []

    def tensor(self, t):
        if t.is_complex() or t.layout != torch.strided or t.is_quantized:
            raise Unrecordable
        tracked, dtype = t.requires_grad, str(t.dtype).removeprefix("torch.")
        values = t.detach().contiguous().reshape(-1).to(torch.float64).numpy().copy()
        record = {"t": dtype, "s": list(t.shape)}
        self.seed += 1
        finite = numpy.isfinite(values).all()
        floating = t.is_floating_point() and finite and not (values == numpy.round(values)).all()
        if floating and values.size > whole and not self.keep and self.name not in ordered:
            low, high = (round(float(v), 3) for v in (values.min(), values.max()))
            values = low + (high - low) * hashed(self.seed, values.size)
            record["r"] = [self.seed, low, high]
        else:
            if floating and not self.keep:
                values = numpy.round(values, 3)
            record["v"] = [number(v) for v in values]
            if floating and self.keep:
                record["v"] = [float(v) for v in values]
        t = torch.from_numpy(values).reshape(t.shape).to(t.dtype)
        if tracked:
            record["g"] = 1
            t.requires_grad_()
            self.leaves.append(t)
        return record, t

    def value(self, x):
        if isinstance(x, torch.Tensor):
            return self.tensor(x)
        if x is None or isinstance(x, (bool, int)):
            return x, x
        if isinstance(x, float):
            return number(x) if not math.isfinite(x) else x, x
        if isinstance(x, str):
            return {"str": x}, x
        if isinstance(x, torch.dtype):
            if x.is_complex:
                raise Unrecordable
            return {"d": str(x).removeprefix("torch.")}, x
        if isinstance(x, slice):
            return {"slice": [x.start, x.stop, x.step]}, x
        if x is Ellipsis:
            return {"ellipsis": 1}, x
        if isinstance(x, (list, tuple)):
            pairs = [self.value(y) for y in x]
            return [p[0] for p in pairs], type(x)(p[1] for p in pairs) if type(x) in (list, tuple) else [p[1] for p in pairs]
        raise Unrecordable


def summary(t):
    t = t.detach()
    if t.is_complex() or t.layout != torch.strided:
        raise Unrecordable
    values = t.contiguous().reshape(-1).to(torch.float64).numpy(force=True)
    record = {"t": str(t.dtype).removeprefix("torch."), "s": list(t.shape)}
    if values.size <= tiny:
        record["v"] = [number(v) for v in values]
        return record
    finite = numpy.where(numpy.isfinite(values), values, 0)
    record["p"] = [number((finite * (hashed(k, values.size) * 2 - 1)).sum()) for k in (1, 2, 3)]
    worst = int(numpy.abs(finite).argmax())
    record["w"] = [worst, number(finite[worst])]
    odd = [int(numpy.isnan(values).sum()), int((values == numpy.inf).sum()), int((values == -numpy.inf).sum())]
    if any(odd):
        record["n"] = odd
    return record


def flat(out):
    if isinstance(out, torch.Tensor):
        return [torch.view_as_real(out.resolve_conj()) if out.is_complex() else out]
    if isinstance(out, (list, tuple)):
        return [t for o in out for t in flat(o)]
    if isinstance(out, (bool, int, float)):
        return [torch.tensor(out)]
    raise Unrecordable


def derivative(outputs, leaves, again):
    """The gradient of the outputs times fixed cotangents."""
    loss = sum((t * direction(11 + i, t.shape)).sum() for i, t in enumerate(outputs) if t.requires_grad)
    if not isinstance(loss, torch.Tensor) or not loss.requires_grad:
        return None
    grads = torch.autograd.grad(loss, leaves, create_graph=again, allow_unused=True)
    return [torch.zeros_like(x) if g is None else g for g, x in zip(grads, leaves)]


def record_sample(op, name, sample):
    recorder = Recorder(name)
    args, kwargs = [], {}
    pairs = [recorder.value(a) for a in (sample.input, *sample.args)]
    named = {k: recorder.value(v) for k, v in sample.kwargs.items()}
    args, kwargs = [p[1] for p in pairs], {k: v[1] for k, v in named.items()}
    result = {"args": [p[0] for p in pairs], "kwargs": {k: v[0] for k, v in named.items()}}
    outputs = flat(op.op(*args, **kwargs))
    result["out"] = [summary(t) for t in outputs]
    if not op.supports_autograd or not recorder.leaves:
        return result
    outputs = [t for t in outputs if t.is_floating_point()]
    try:
        first = derivative(outputs, recorder.leaves, op.supports_gradgrad)
    except RuntimeError:
        return result
    if first is None:
        return result
    result["first"] = [summary(t) for t in first]
    if op.supports_gradgrad:
        try:
            second = derivative(first, recorder.leaves, False)
        except RuntimeError:
            return result
        if second is not None:
            result["second"] = [summary(t) for t in second]
    return result


def record_entry(op, name):
    for dtype in (torch.float64, torch.float32, torch.int64, torch.bool):
        if dtype in op.dtypes:
            break
    else:
        return None
    torch.manual_seed(zlib.crc32(name.encode()))
    numpy.random.seed(zlib.crc32(name.encode()))
    samples, left_out = [], 0
    for sample in op.sample_inputs("cpu", dtype, requires_grad=op.supports_autograd and dtype.is_floating_point):
        try:
            samples.append(record_sample(op, name, sample))
        except Unrecordable:
            left_out += 1
    return {"name": name, "left_out": left_out, "samples": samples}


def main():
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    failed = []
    with gzip.GzipFile(sys.argv[1], "wb", compresslevel=9, mtime=0) as file:
        for op in op_db:
            name = op.name + ("." + op.variant_test_name if op.variant_test_name else "")
            if len(sys.argv) > 2 and name not in sys.argv[2:]:
                continue
            try:
                entry = record_entry(op, name)
            except Exception as error:  # an entry that PyTorch itself cannot run here is left out, and named
                failed.append(f"{name}: {type(error).__name__} {str(error)[:100]}")
                continue
            if entry is not None and entry["samples"]:
                line = json.dumps(entry, separators=(",", ":")) + "\n"
                file.write(line.encode())
                print(f"{name} {len(entry['samples'])} {entry['left_out']} {len(zlib.compress(line.encode()))}", flush=True)
    print("\n".join(failed), file=sys.stderr)


if __name__ == "__main__":
    main()
