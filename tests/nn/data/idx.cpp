#include <gradweave/nn/data/idx.hpp>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <zlib.h>

#include "catch.hpp"
#include "nn/data/idx_files.hpp"

using namespace gradweave;
using Catch::Matchers::ContainsSubstring;
using nn::IdxType;
using nn::read_idx;

namespace {

// What read_idx says about a file that holds exactly `content`.
std::string complaint(const std::string& content) {
  const TemporaryFolder folder;
  const auto path = folder.write("file", content);
  try {
    read_idx(path);
  } catch (const IoError& error) {
    const std::string message = error.what();
    CHECK_THAT(message, ContainsSubstring(path));
    return message;
  }
  return "read without a complaint";
}

const std::string two_by_three = idx_header(0x08, {2, 3}) + std::string("\x00\x01\x02\x7f\x80\xff", 6);

}  // namespace

TEST_CASE("an IDX file of bytes is read as it lies, plain or gzipped", "[nn][idx]") {
  const TemporaryFolder folder;
  for (const std::string& content : {two_by_three, gzip(two_by_three)}) {
    const nn::Idx idx = read_idx(folder.write("file", content));
    CHECK(idx.type == IdxType::u8);
    CHECK(idx.shape == Shape{2, 3});
    CHECK(idx.tensor(DType::int64).to_vector<Index>() == std::vector<Index>{0, 1, 2, 127, 128, 255});
    CHECK(idx.tensor(DType::float64, 255).to_vector<double>()[3] == 127.0 / 255);
    CHECK(idx.tensor().dtype() == DType::float32);
  }
}

TEST_CASE("all element types of the format are big-endian", "[nn][idx]") {
  const auto [code, bytes, value] = GENERATE(table<int, std::string, double>({
      {0x08, std::string("\xfe", 1), 254},
      {0x09, std::string("\xfe", 1), -2},
      {0x0B, std::string("\xfe\xff", 2), -257},
      {0x0C, std::string("\x00\x01\x00\x02", 4), 65538},
      {0x0D, std::string("\xc0\x49\x0f\xdb", 4), -3.14159274101257324},  // pi in float32
      {0x0E, std::string("\x3f\xf8\x00\x00\x00\x00\x00\x00", 8), 1.5},
  }));
  const TemporaryFolder folder;
  const nn::Idx idx = read_idx(folder.write("file", idx_header(code, {1}) + bytes));
  CHECK(static_cast<int>(idx.type) == code);
  CHECK(idx.tensor(DType::float64).item<double>() == value);
  CHECK(idx.tensor(DType::int64).item<Index>() == static_cast<Index>(value));
}

TEST_CASE("whole numbers divided by nothing saturate, as in a cast", "[nn][idx]") {
  const nn::Idx idx{IdxType::i8, {3}, {std::byte{0xFE}, std::byte{0}, std::byte{7}}};
  constexpr auto least = std::numeric_limits<Index>::min(), most = std::numeric_limits<Index>::max();
  CHECK(idx.tensor(DType::int64, 0).to_vector<Index>() == std::vector<Index>{least, 0, most});
  CHECK(idx.tensor(DType::int64, 2).to_vector<Index>() == std::vector<Index>{-1, 0, 3});
}

TEST_CASE("a scalar and an empty axis are valid", "[nn][idx]") {
  const TemporaryFolder folder;
  CHECK(read_idx(folder.write("scalar", idx_header(0x08, {}) + "A")).tensor().item<int>() == 65);
  CHECK(read_idx(folder.write("none", idx_header(0x08, {0, 28, 28}))).shape == Shape{0, 28, 28});
}

TEST_CASE("a file that is not there, or not a file, is an error that names it", "[nn][idx]") {
  const TemporaryFolder folder;
  CHECK_THROWS_AS(read_idx(folder.path() + "/missing"), IoError);
  CHECK_THROWS_WITH(read_idx(folder.path() + "/missing"),
                    ContainsSubstring("missing") && ContainsSubstring("cannot open"));
  CHECK_THROWS_AS(read_idx(folder.path()), IoError);
}

TEST_CASE("a broken header says what is wrong with it", "[nn][idx]") {
  CHECK_THAT(complaint(""), ContainsSubstring("empty"));
  CHECK_THAT(complaint(std::string("\0\0\x08", 3)), ContainsSubstring("only 3 bytes"));
  CHECK_THAT(complaint("label,p0,p1,p2"), ContainsSubstring("not an IDX file"));
  CHECK_THAT(complaint(idx_header(0x0A, {1}) + "A"), ContainsSubstring("00 00 0a 01"));
  CHECK_THAT(complaint(two_by_three.substr(0, 9)), ContainsSubstring("header is truncated"));
  CHECK_THAT(complaint(idx_header(0x08, std::vector<std::uint32_t>(9, 1)) + "A"),
             ContainsSubstring("9 axes"));
}

TEST_CASE("absurd sizes neither overflow nor allocate what they claim", "[nn][idx]") {
  const std::uint32_t most = 0xFFFFFFFF;
  CHECK_THAT(complaint(idx_header(0x08, {most, most, most}) + "A"), ContainsSubstring("absurd"));
  CHECK_THAT(complaint(idx_header(0x08, {0, most, most, most}) + "A"), ContainsSubstring("absurd"));
  // 16 exabytes of doubles that an address could count: the file ends after one byte, and so does the
  // reading.
  CHECK_THAT(complaint(idx_header(0x0E, {most, 1U << 28}) + "A"), ContainsSubstring("truncated"));
  CHECK_THAT(complaint(gzip(idx_header(0x08, {most, 1000}))), ContainsSubstring("truncated"));
}

TEST_CASE("too few and too many elements are errors", "[nn][idx]") {
  const std::string fewer = two_by_three.substr(0, two_by_three.size() - 1);
  for (const bool is_compressed : {false, true}) {
    const auto as_file = [&](const std::string& content) { return is_compressed ? gzip(content) : content; };
    CHECK_THAT(complaint(as_file(fewer)), ContainsSubstring("truncated") && ContainsSubstring("6 bytes") &&
                                              ContainsSubstring("5 are there"));
    CHECK_THAT(complaint(as_file(two_by_three + "A")), ContainsSubstring("goes on after the 6 bytes"));
  }
}

TEST_CASE("a damaged gzip file is an error wherever it is cut or changed", "[nn][idx]") {
  std::string content = idx_header(0x08, {4000});
  for (int i = 0; i < 4000; ++i) content += static_cast<char>(i * i % 251);
  const std::string compressed = gzip(content);
  const TemporaryFolder folder;

  for (std::size_t length = 1; length < compressed.size(); length += compressed.size() / 97 + 1) {
    INFO("cut after " << length << " of " << compressed.size());
    CHECK_THROWS_AS(read_idx(folder.write("cut", compressed.substr(0, length))), IoError);
  }
  CHECK_THAT(complaint(compressed.substr(0, compressed.size() - 1)), ContainsSubstring("truncated"));

  // From the compressed data on: the header's time and system may change without harm.
  for (std::size_t at = 10; at < compressed.size(); at += compressed.size() / 97 + 1) {
    std::string changed = compressed;
    changed[at] = static_cast<char>(changed[at] ^ 0x10);
    INFO("changed at " << at << " of " << compressed.size());
    CHECK_THROWS_AS(read_idx(folder.write("changed", changed)), IoError);
  }
  std::string checksum = compressed;
  checksum[checksum.size() - 8] = static_cast<char>(checksum[checksum.size() - 8] ^ 1);
  CHECK_THAT(complaint(checksum), ContainsSubstring("corrupt"));
}
