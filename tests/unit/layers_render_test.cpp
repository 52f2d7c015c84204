// The pictures and tables of `drover layers`, of names and commands that mean harm.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "cmd/layers_report.hpp"
#include "cmd/svg.hpp"
#include "tests/support/run_drover.hpp"

using namespace drover;
using namespace drover::test;

namespace {

const std::string kHostile = "<script>\"'&\\N\x1b[2J\xff\xef\xbf\xbe\n]]>";

std::string digits(char c) { return std::string(64, c); }

LayerTree sample_tree() {
  LayerTree tree;
  for (char c : {'a', 'b', 'c', 'd', 'e'}) {
    TreeLayer layer;
    layer.chain_id = layer.cache_id = digits(c);
    layer.size_bytes = 1'000'000;
    layer.history = HistoryLine{"2023-11-14T22:13:20Z", "RUN " + kHostile, "", false};
    tree.layers.push_back(layer);
  }
  auto stands_on = [&](std::size_t child, std::size_t parent) {
    tree.layers[child].parent = parent;
    tree.layers[parent].children.push_back(child);
  };
  stands_on(1, 0), stands_on(2, 1), stands_on(3, 1);
  tree.roots = {0, 4};
  TreeImage image;
  image.id = digits('1');
  image.name = "app:" + kHostile;
  image.references = {image.name, "app:2"};
  image.top = 2;
  tree.images.push_back(image);
  tree.layers[2].images = {0};
  tree.layers[0].users = {{image.name, "b", "c"}, {}};
  TreeContainer container;
  container.id = digits('2');
  container.name = "web" + kHostile;
  container.parent = 1;
  container.reading.content.emplace();
  tree.layers[1].containers = {0};
  tree.containers.push_back(container);
  container.name = "alone";
  container.parent.reset();
  container.reading = {std::nullopt, "gone"};
  tree.containers.push_back(container);
  return tree;
}

LayerStack sample_stack() {
  LayerStack stack;
  stack.is_container = true;
  stack.id = digits('7');
  stack.name = "web" + kHostile;
  stack.references = {"app:1"};
  StackLayer own;
  own.role = LayerRole::writable;
  own.id = digits('8');
  own.place = "/data/" + kHostile;
  LayerContent content;
  content.added = content.copied_up = Largest<LayerFile>(10);
  content.hidden = Largest<HiddenEntry>(10);
  content.small_writes = Largest<SmallWrite>(10);
  content.files = 3;
  content.added.add({"new/" + kHostile, 5});
  content.copied_up.add({"db/" + kHostile, 20'000'000, 20'000'000});
  content.hidden.add({"old", 7'000, 3, HiddenEntry::How::opaque});
  content.small_writes.add({"db/" + kHostile, 20'000'000, 4096});
  content.small_writes.add({"db/touched", 10'000'000, 0});
  own.reading.content = content;
  own.size_bytes = 20'000'005;
  stack.layers.push_back(own);
  StackLayer base;
  base.id = digits('9');
  base.chain_id = digits('a');
  base.size_bytes = 5'000'000;
  base.history = HistoryLine{"", "/bin/sh -c #(nop) ADD " + kHostile, "", false};
  base.shared_by = {{"app:1", kHostile, "c"}, {"x"}};
  base.reading.unreadable = "no " + kHostile;
  stack.layers.push_back(base);
  return stack;
}

template <class Report>
std::string text_of(const Report& report, bool full = false) {
  std::ostringstream out;
  print_layers_text(out, "/var/lib/docker", report, full);
  return out.str();
}
template <class Report>
std::string svg_of(const Report& report, bool full = false) {
  std::ostringstream out;
  print_layers_svg(out, "/var/lib/docker", report, full);
  return out.str();
}
template <class Report>
std::string dot_of(const Report& report) {
  std::ostringstream out;
  print_layers_dot(out, report, true);
  return out.str();
}

/// Whether all tags are closed in their order, and nothing stands in the text that must not.
std::string xml_fault(const std::string& xml) {
  std::vector<std::string> open;
  for (std::size_t at = 0; at < xml.size(); ++at) {
    unsigned char c = static_cast<unsigned char>(xml[at]);
    if (c < 0x20 && c != '\n') return "a control character";
    if (c == '&' && xml.find(';', at) > at + 6) return "a bare &";
    if (c != '<') continue;
    std::size_t end = xml.find('>', at);
    if (end == std::string::npos) return "a tag without an end";
    std::string tag = xml.substr(at + 1, end - at - 1);
    if (std::count(tag.begin(), tag.end(), '"') % 2 != 0 || tag.find('<') != std::string::npos)
      return "a damaged tag: " + tag;
    std::string name = tag.substr(0, tag.find_first_of(" /?"));
    at = end;
    if (tag.starts_with('?') || tag.ends_with('/')) continue;
    if (!tag.starts_with('/')) {
      open.push_back(name);
    } else {
      if (open.empty() || open.back() != tag.substr(1)) return "a wrong end: " + tag;
      open.pop_back();
    }
  }
  return open.empty() ? "" : "no end of " + open.back();
}

bool holds(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("foreign bytes are no markup in a picture") {
  CHECK(xml_text("a<b>&\"'") == "a&lt;b&gt;&amp;&quot;&#39;");
  CHECK(xml_text("\x1b\xff\n") == "\\x1b\\xff\\x0a");
  CHECK(xml_text("\xef\xbf\xbf\xc3\xa9") == "\xef\xbf\xbd\xc3\xa9");
  for (bool full : {false, true})
    for (const std::string& svg : {svg_of(sample_tree(), full), svg_of(sample_stack(), full)}) {
      CHECK(xml_fault(svg) == "");
      CHECK_FALSE(holds(svg, "<script"));
      CHECK_FALSE(holds(svg, "\xef\xbf\xbe"));
      CHECK(holds(svg, "&lt;script&gt;"));
      CHECK(svg.starts_with("<?xml"));
      CHECK(svg.ends_with("</svg>\n"));
    }
  CHECK(xml_fault(svg_of(LayerTree{})) == "");
  CHECK(xml_fault(svg_of(LayerStack{})) == "");
}

TEST_CASE("foreign bytes do not leave a label of graphviz") {
  for (const std::string& dot : {dot_of(sample_tree()), dot_of(sample_stack())}) {
    std::istringstream lines(dot);
    for (std::string line; std::getline(lines, line);) {
      bool quoted = false;
      for (std::size_t i = 0; i < line.size(); ++i) {
        CHECK(static_cast<unsigned char>(line[i]) >= 0x20);
        if (line[i] == '\\')
          ++i;
        else if (line[i] == '"')
          quoted = !quoted;
      }
      CHECK_FALSE(quoted);
    }
    CHECK(holds(dot, "<script>\\\"'&\\\\N\\\\x1b[2J\\\\xff"));
    CHECK(dot.starts_with("digraph layers {\n"));
    CHECK(dot.ends_with("}\n"));
  }
  CHECK(holds(dot_of(sample_tree()), "layer1 -> layer2;"));
  CHECK(holds(dot_of(sample_tree()), "layer1 -> container0;"));
}

TEST_CASE("foreign bytes do no harm to a terminal") {
  for (bool full : {false, true})
    for (const std::string& text : {text_of(sample_tree(), full), text_of(sample_stack(), full)}) {
      CHECK_FALSE(holds(text, "\x1b"));
      CHECK_FALSE(holds(text, "\xff"));
    }
}

TEST_CASE("the tree goes to the right only where it forks") {
  LayerTree tree = sample_tree();
  for (TreeLayer& layer : tree.layers) layer.history = HistoryLine{"", "RUN make", "", false};
  tree.images[0].name = "app:1";
  tree.containers[0].name = "web";
  tree.layers[0].users = {{"app:1", "b", "c"}, {}};
  std::string text = text_of(tree);
  CHECK(text.starts_with(R"(Layers of overlay2 in /var/lib/docker:
 LAYER              SIZE   SHARED BY   MADE BY                  TOP OF
 ■ aaaaaaaaaaaa     1MB    3 images    RUN make
 │ bbbbbbbbbbbb     1MB    -           RUN make
 ├─ web             0B                 container 222222222222
 ├─■ cccccccccccc   1MB    -           RUN make                 app:1
 └─■ dddddddddddd   1MB    -           RUN make
 ■ eeeeeeeeeeee     1MB    -           RUN make
)"));
}

TEST_CASE("a container's findings are told with the advice") {
  LayerStack stack = sample_stack();
  std::string text = text_of(stack);
  CHECK(holds(text, "Copied Up: 1 file, 20MB\n"));
  CHECK(holds(text, "Hidden: 1 name, 7kB of the layers below\n"));
  CHECK(holds(text, "Small Writes: 2 large files, 30MB, of which little was changed\n"));
  CHECK(holds(text, "<= 4.096kB"));
  CHECK(holds(text, "attributes"));
  CHECK(holds(text, "Advice: the first write to a file copies all of it up; keep such files in a volume"));
  stack.write_cost = WriteCost::changed_blocks;
  CHECK(holds(text_of(stack), "Advice: this driver keeps only the blocks"));
  std::ostringstream out;
  print_layers_json(out, "/var/lib/docker", stack);
  nlohmann::json json = nlohmann::json::parse(out.str());
  CHECK(json["layers"][0]["content"]["small_writes"]["largest"][0]["changed_bytes"] == 4096);
  CHECK(json["layers"][0]["content"]["hidden"]["largest"][0]["how"] == "opaque");
  CHECK(json["layers"][1]["content"].is_null());
  CHECK(json["layers"][1]["created_by"].get<std::string>().starts_with("/bin/sh -c #(nop) ADD <script>"));
  CHECK(json["advice"].get<std::string>().starts_with("this driver"));
}

TEST_CASE("commands are written as people write them") {
  CHECK(command_text("/bin/sh -c #(nop)  CMD [\"sh\"]") == "CMD [\"sh\"]");
  CHECK(command_text("/bin/sh -c apt-get update &&\t\n  apt-get install x") ==
        "RUN apt-get update && apt-get install x");
  CHECK(command_text("RUN /bin/sh -c make # buildkit") == "RUN make");
  CHECK(command_text("COPY a b # buildkit") == "COPY a b");
  CHECK(command_text("  ") == "");
  CHECK(shortened("abcdef", 6) == "abcdef");
  CHECK(shortened("abcdefg", 6) == "abc...");
  CHECK(shortened("\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9", 4) == "\xc3\xa9...");
}

TEST_CASE("pictures are for layers only") {
  for (const char* format : {"dot", "svg"}) {
    CAPTURE(format);
    for (const char* verb : {"info", "verify", "select", "migrate", "rollback", "commit"}) {
      CAPTURE(verb);
      Run run = run_drover({verb, "--format", format, "--data-root", "/nowhere"});
      CHECK(run.code == 2);
      CHECK(holds(run.err, std::string(format) + " is for `drover layers` only"));
      CHECK(run.out == "");
    }
    CHECK(run_drover({"layers", "--format", format, "--data-root", "/nowhere"}).code == 1);
  }
  CHECK(run_drover({"layers", "--format", "xml"}).code == 2);
  CHECK(run_drover({"layers", ""}).code == 2);
  CHECK(run_drover({"layers", "a", "b"}).code == 2);
}
