#include <gradweave/graph/report/dot.hpp>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include <gradweave/graph/scope.hpp>
#include <gradweave/ops/ops.hpp>

#include "catch.hpp"

namespace gradweave {
namespace {

using Catch::Matchers::ContainsSubstring;

std::string picture_of(const std::vector<Tensor>& roots) {
  std::ostringstream text;
  write_dot(text, roots);
  return text.str();
}

// A little network, its loss and its gradients.
std::vector<Tensor> network() {
  const Tensor x = constant({{1, 2}, {3, 4}}), w = variable({{0.1}, {0.2}});
  Tensor y;
  {
    const Scope net("net"), hidden("hidden");
    y = sigmoid(matmul(x, w));
  }
  const Tensor loss = sum(square(y));
  return {loss, gradients(loss, {w})[0]};
}

TEST_CASE("a picture has ops with attributes and shapes, leaves, and modules as clusters", "[dot]") {
  const std::string text = picture_of(network());
  CHECK_THAT(text, ContainsSubstring("digraph"));
  CHECK_THAT(text, ContainsSubstring("sigmoid\\nfloat32 (2, 1)"));
  CHECK_THAT(text, ContainsSubstring("variable\\nfloat32 (2, 1)\", shape=box"));
  CHECK_THAT(text, ContainsSubstring("constant\\nfloat32 (2, 2)\", shape=note"));
  CHECK_THAT(text, ContainsSubstring("broadcast_to(shape=(2, 1))\\nfloat32 (2, 1)"));
  CHECK_THAT(text, ContainsSubstring("label=\"net\""));
  CHECK_THAT(text, ContainsSubstring("label=\"hidden\""));
}

TEST_CASE("the reverse pass is told apart from the forward pass", "[dot]") {
  const std::vector<Tensor> both = network();
  CHECK_THAT(picture_of({both[0]}), !ContainsSubstring("dashed"));
  CHECK_THAT(picture_of({both[1]}), ContainsSubstring("dashed"));
  const Tensor after = both[1] * 3;  // the user's own again
  CHECK_THAT(picture_of({after}),
             ContainsSubstring("scale(factor=3.0)\\nfloat32 (2, 1)\", shape=ellipse, style=filled"));
}

TEST_CASE("the same program gives the same picture, whatever the addresses", "[dot]") {
  const std::string once = picture_of(network());
  const std::vector<Tensor> in_between = network();
  CHECK(picture_of(network()) == once);
  CHECK_THAT(once, !ContainsSubstring("0x"));
}

TEST_CASE("a small graph, word for word", "[dot]") {
  const Tensor x = variable({1, 2});
  std::ostringstream text;
  write_dot(text, x * 2);
  const std::string expected = R"dot(digraph gradweave {
  rankdir=BT;
  node [fontname="Helvetica", fontsize=10];
  n0 [label="variable\nfloat32 (2,)", shape=box, style=filled, fillcolor="#d5e8d4", color="#4a7c3a"];
  n1 [label="scale(factor=2.0)\nfloat32 (2,)", shape=ellipse, style=filled, fillcolor="#dae8fc", color="#3f6ea8"];
  n0 -> n1;
}
)dot";
  CHECK(text.str() == expected);
}

TEST_CASE("names of modules are escaped", "[dot]") {
  const Scope scope("a \"quoted\" \\ name");
  CHECK_THAT(picture_of({exp(variable({1}))}), ContainsSubstring("label=\"a \\\"quoted\\\" \\\\ name\""));
}

TEST_CASE("a picture that cannot be written is an IoError", "[dot]") {
  CHECK_THROWS_AS(write_dot("/no/such/folder/graph.dot", variable({1})), IoError);
  CHECK_THROWS_AS(picture_of({Tensor()}), GraphError);
  if (std::filesystem::exists("/dev/full")) {
    CHECK_THROWS_AS(write_dot("/dev/full", exp(variable({1}))), IoError);
  }
}

TEST_CASE("Graphviz renders it", "[dot]") {
  if (std::system("dot -V > /dev/null 2>&1") != 0) SKIP_TEST("Graphviz is not installed");
  const auto folder = std::filesystem::temp_directory_path();
  const std::string dot = folder / "gradweave_test_graph.dot", svg = folder / "gradweave_test_graph.svg";
  {
    const Scope scope("a \"quoted\" \\ name");
    write_dot(dot, network());
  }
  CHECK(std::system(("dot -Tsvg '" + dot + "' -o '" + svg + "'").c_str()) == 0);
  std::stringstream text;
  text << std::ifstream(svg).rdbuf();
  CHECK_THAT(text.str(),
             ContainsSubstring("<svg") && ContainsSubstring("matmul") && ContainsSubstring("hidden"));
  std::filesystem::remove(dot);
  std::filesystem::remove(svg);
}

}  // namespace
}  // namespace gradweave
