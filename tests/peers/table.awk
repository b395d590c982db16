# From lines `name value unit`, the table of ./dev bench --peers, in Markdown. Of the ways in which a library does the
# same (step, step_set_to_none; two settings of libtorch) the fastest counts. The limit is what one thread of this
# machine needs for the operations of a workload, or for moving its inputs and outputs, whichever takes longer.
BEGIN { nanoseconds["ns"] = 1; nanoseconds["us"] = 1e3; nanoseconds["ms"] = 1e6; nanoseconds["s"] = 1e9 }
{
  who = what = $1
  sub(/\/.*/, "", who)
  sub(/^[^\/]*\//, "", what)
  sub(/_set_to_none/, "", what)
  value = $2
  unit = $3
  if (unit in nanoseconds) { value *= nanoseconds[unit]; unit = "ns" }
}
who == "machine" && what == "arithmetic/rate" { flops_each_ns = value }
who == "machine" && sub(/^triad\//, "", what) && unit == "ns" { triad[what] = value }
who == "machine" || !(value > 0) { next }
who == "gradweave" { if (!((who, what) in best)) rows[++count] = what; units[what] = unit }
!((who, what) in best) || value < best[who, what] { best[who, what] = value; libraries[who] }

function show(value, unit) {
  if (unit == "ns") {
    unit = value < 1e3 ? "ns" : value < 1e6 ? "us" : value < 1e9 ? "ms" : "s"
    value /= nanoseconds[unit]
  }
  return sprintf(value < 999.5 ? "%.3g %s" : "%.0f %s", value, unit)
}

function limit(what, threads,    flops, bytes, size, least, moving) {
  threads = what ~ /_t2$/ ? 2 : 1
  if (!flops_each_ns || !(("gradweave", what "/work") in best)) return ""
  flops = best["gradweave", what "/work"] / flops_each_ns
  bytes = best["gradweave", what "/traffic"]
  for (size in triad) if (size + 0 >= bytes && (!least || size + 0 < least)) least = size + 0
  if (least) moving = bytes / least * triad[least]
  return show((flops > moving ? flops : moving) / threads, "ns")
}

END {
  row = "| %-42s | %-9s | %-8s | %-12s | %-16s | %-8s | %-8s |\n"
  printf row, "workload", "Gradweave", "libtorch", "times better", "best other", "by hand", "limit"
  print "| --- | --- | --- | --- | --- | --- | --- |"
  for (i = 1; i <= count; i++) {
    same = what = rows[i]
    sub(/compiled_/, "", same)
    if (what ~ /\/(work|traffic|allocations)$/) continue
    unit = units[what]
    other = ""
    for (who in libraries) {
      if (who ~ /^(gradweave|torch|handwritten)$/ || !((who, same) in best)) continue
      if (other == "" || best[who, same] < best[other, same]) other = who
    }
    has_torch = ("torch", same) in best
    by_hand = ("handwritten", same) in best
    if (!has_torch && other == "" && !by_hand) continue
    ours = best["gradweave", what]
    printf row, what, show(ours, unit), has_torch ? show(best["torch", same], unit) : "",
      has_torch ? sprintf("%.3g", best["torch", same] / ours) : "",
      other == "" ? "" : show(best[other, same], unit) " " other,
      by_hand ? show(best["handwritten", same], unit) : "", limit(same)
  }
}
