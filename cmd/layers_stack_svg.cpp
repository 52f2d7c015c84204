#include <algorithm>
#include <ostream>

#include "cmd/layers_report.hpp"
#include "cmd/svg.hpp"
#include "drivers/sys/size_text.hpp"

namespace drover {

namespace {

constexpr long kPage = 1040, kEdge = 28;
constexpr long kTop = 86, kFloor = 50, kFloorGap = 5;
constexpr long kStackX = 66, kStackWidth = 600;
constexpr long kNotesX = kStackX + kStackWidth + 22;
constexpr long kInset = 12;
constexpr std::size_t kRows = 8;  ///< in a card
constexpr long kRow = 19, kCardHead = 34, kCardGap = 16;

/// A list of files, as a card below the stack.
struct Card {
  std::string title, note;
  struct Row {
    std::string size, path;
  };
  std::vector<Row> rows;
  std::uint64_t more = 0;
  long height() const { return kCardHead + kRow * static_cast<long>(rows.size() + (more > 0 ? 1 : 0)) + 10; }
};

template <class T, class RowOf>
void add_card(std::vector<Card>& cards, const Largest<T>& list, std::string title, std::string note,
              RowOf row_of) {
  if (list.count() == 0) return;
  Card card{std::move(title), std::move(note), {}, 0};
  for (const T& item : list.items())
    if (card.rows.size() < kRows) card.rows.push_back(row_of(item));
  card.more = list.count() - card.rows.size();
  cards.push_back(std::move(card));
}

std::vector<Card> cards_of(const LayerStack& stack) {
  std::vector<Card> cards;
  const StackLayer* own = stack.writable();
  if (!own || !own->reading.content) return cards;
  const LayerContent& content = *own->reading.content;
  auto file_row = [](const LayerFile& f) { return Card::Row{human_size(f.bytes), "/" + f.path}; };
  auto sum = [](std::uint64_t count, std::uint64_t bytes) {
    return counted(count, "file") + ", " + human_size(bytes);
  };
  add_card(cards, content.copied_up, "Copied up", sum(content.copied_up.count(), content.copied_up.bytes()),
           file_row);
  add_card(cards, content.small_writes, "Copied up for small writes",
           sum(content.small_writes.count(), content.small_writes.bytes()), [](const SmallWrite& w) {
             return Card::Row{human_size(w.bytes),
                              "/" + w.path +
                                  (w.changed_bytes == 0 ? "  (attributes only)"
                                                        : "  (" + human_size(w.changed_bytes) + " differ)")};
           });
  add_card(cards, content.hidden, "Hidden", human_size(content.hidden.bytes()) + " of the layers below",
           [](const HiddenEntry& h) {
             return Card::Row{human_size(h.bytes), "/" + h.path + "  (" + how_text(h.how) + ")"};
           });
  add_card(cards, content.added, "Added", sum(content.added.count(), content.added.bytes()), file_row);
  return cards;
}

class StackPicture {
 public:
  StackPicture(std::ostream& out, const std::string& data_root, const LayerStack& stack, bool full)
      : stack_(stack),
        full_(full),
        cards_(cards_of(stack)),
        data_root_(data_root),
        bottom_(kTop + (kFloor + kFloorGap) * static_cast<long>(stack.layers.size())),
        title_((stack.is_container ? "Container " : "Image ") + stack.name),
        svg_(out, kPage, height(), title_) {
    for (const StackLayer& layer : stack.layers) largest_ = std::max(largest_, layer.size_bytes);
  }

  void draw() {
    svg_.text(kEdge, 36, kPage - 2 * kEdge, "title", title_);
    std::string sub = std::string(driver_name(stack_.driver)) + " in " + data_root_ + ",  " +
                      counted(stack_.layers.size(), "layer") + ",  " + human_size(stack_.size_bytes());
    if (!stack_.history_remark.empty()) sub += ";  " + stack_.history_remark;
    svg_.text(kEdge, 58, kPage - 2 * kEdge, "sub", sub);
    svg_.text(kNotesX, kTop - 8, kPage - kEdge - kNotesX, "sub", "shared with");
    for (std::size_t i = 0; i < stack_.layers.size(); ++i)
      draw(stack_.layers[i], kTop + (kFloor + kFloorGap) * static_cast<long>(i));
    draw_brackets();
    draw_cards();
  }

 private:
  long height() const {
    long tall = bottom_ + kEdge;
    for (std::size_t i = 0; i < cards_.size(); i += 2) tall += row_height(i) + kCardGap;
    return tall + (has_advice() ? 24 : 0);
  }
  long row_height(std::size_t first) const {
    return std::max(cards_[first].height(), first + 1 < cards_.size() ? cards_[first + 1].height() : 0);
  }
  bool has_advice() const {
    const StackLayer* own = stack_.writable();
    return own && own->reading.content && own->reading.content->small_writes.count() > 0;
  }

  void draw(const StackLayer& layer, long y) {
    svg_.enter({kStackX, y, kStackWidth, kFloor}, made_by(layer) + "  |  " + layer.place);
    std::string css = layer.role == LayerRole::writable ? "writable"
                      : layer.role == LayerRole::init   ? "init"
                      : !shared_beyond_its_image(layer) ? "own"
                                                        : "shared";
    svg_.rect({1, 1, kStackWidth - 2, kFloor - 2}, css);
    const auto& content = layer.reading.content;
    std::string size =
        content || layer.role == LayerRole::image ? human_size(layer.size_bytes) : "not readable";
    svg_.text(kStackWidth - kInset, 19, 110, content ? "strong" : "warn", size, Svg::Anchor::end);
    svg_.text(kInset, 19, kStackWidth - 140, layer.role == LayerRole::writable ? "strong" : "",
              made_by(layer));
    svg_.text(kInset, 37, full_ ? kStackWidth - 160 : 110, "mono",
              layer_id_text(layer.chain_id.value_or(layer.id), full_));
    if (content) {
      std::string files = counted(content->files, "file");
      svg_.text(kStackWidth - kInset, 37, 140, "number", files, Svg::Anchor::end);
      if (content->hidden_bytes() > 0)
        svg_.text(kStackWidth - kInset - 110, 37, 200, "warn", "hides " + human_size(content->hidden_bytes()),
                  Svg::Anchor::end);
    }
    if (layer.size_bytes > 0 && largest_ > 0) {
      double part = static_cast<double>(layer.size_bytes) / static_cast<double>(largest_);
      svg_.rect({kInset, kFloor - 7, std::max(static_cast<long>((kStackWidth - 2 * kInset) * part), 2L), 3},
                "bar", 1);
    }
    svg_.leave();
    draw_users(layer, y);
  }

  /// A container shares each layer with its own image.
  bool shared_beyond_its_image(const StackLayer& layer) const {
    return layer.shared_by.images.size() > (stack_.is_container && stack_.image ? 1U : 0U);
  }

  void draw_users(const StackLayer& layer, long y) {
    long room = kPage - kEdge - kNotesX;
    const LayerUsers& users = layer.shared_by;
    if (users.images.empty() && users.containers.empty()) return;
    svg_.line(kStackX + kStackWidth + 4, y + kFloor / 2, kNotesX - 6, y + kFloor / 2, "rule");
    long line = y + (users.images.empty() || users.containers.empty() ? 17 : 5);
    for (const auto* names : {&users.images, &users.containers}) {
      if (names->empty()) continue;
      long x = kNotesX;
      std::size_t left = names->size();
      const char* css = names == &users.images ? "image" : "container";
      for (const std::string& name : *names) {
        long end = kNotesX + room - (left > 1 ? 40 : 0);
        if (x > kNotesX && Svg::width_of("pill", name) + 14 > end - x) break;
        x += svg_.pill(x, line, end - x, css, name) + 4;
        --left;
      }
      if (left > 0) svg_.pill(x, line, 60, css, "+" + std::to_string(left));
      line += 21;
    }
  }

  /// What of the stack is the container's, and what its image's.
  void draw_brackets() {
    long own = 0;
    for (const StackLayer& layer : stack_.layers) own += layer.role == LayerRole::image ? 0 : 1;
    long all = static_cast<long>(stack_.layers.size());
    if (own > 0) draw_bracket(0, own, "container");
    if (all > own)
      draw_bracket(own, all,
                   stack_.is_container && !stack_.references.empty() ? stack_.references.front() : "image");
  }

  void draw_bracket(long from, long to, const std::string& text) {
    long top = kTop + (kFloor + kFloorGap) * from + 2,
         foot = kTop + (kFloor + kFloorGap) * to - kFloorGap - 2;
    long x = kStackX - 10;
    svg_.line(x, top, x, foot, "bracket");
    svg_.line(x, top, x + 5, top, "bracket");
    svg_.line(x, foot, x + 5, foot, "bracket");
    svg_.upright_text(x - 9, (top + foot) / 2, foot - top, "sub", text);
  }

  void draw_cards() {
    long y = bottom_ + kCardGap;
    constexpr long kWidth = (kPage - 2 * kEdge - kCardGap) / 2;
    if (has_advice()) {
      svg_.text(kEdge, y + 8, kPage - 2 * kEdge, "warn",
                "Small writes: " + small_writes_advice(stack_.write_cost));
      y += 24;
    }
    for (std::size_t i = 0; i < cards_.size(); ++i) {
      long x = kEdge + (i % 2 == 0 ? 0 : kWidth + kCardGap);
      draw(cards_[i], {x, y, kWidth, row_height(i - i % 2)});
      if (i % 2 == 1) y += row_height(i - 1) + kCardGap;
    }
  }

  void draw(const Card& card, const Svg::Box& box) {
    svg_.rect(box, "card", 6);
    svg_.text(box.x + kInset, box.y + 22, box.width / 2, "strong", card.title);
    svg_.text(box.x + box.width - kInset, box.y + 22, box.width / 2 - kInset, "sub", card.note,
              Svg::Anchor::end);
    long y = box.y + kCardHead + 12;
    for (const Card::Row& row : card.rows) {
      svg_.text(box.x + 82, y, 80, "number", row.size, Svg::Anchor::end);
      svg_.text(box.x + 94, y, box.width - 94 - kInset, "mono", row.path);
      y += kRow;
    }
    if (card.more > 0)
      svg_.text(box.x + 94, y, box.width - 94, "sub", "and " + std::to_string(card.more) + " more");
  }

  const LayerStack& stack_;
  bool full_;
  std::vector<Card> cards_;
  std::string data_root_;
  long bottom_;
  std::string title_;
  Svg svg_;
  std::uint64_t largest_ = 0;
};

}  // namespace

void print_layers_svg(std::ostream& out, const std::string& data_root, const LayerStack& stack, bool full) {
  StackPicture(out, data_root, stack, full).draw();
}

}  // namespace drover
