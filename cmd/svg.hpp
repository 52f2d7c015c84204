#pragma once
#include <iosfwd>
#include <string>
#include <string_view>

namespace drover {

/// Foreign bytes as text of an XML document: harmless for a reader (see printable), and no markup.
std::string xml_text(std::string_view bytes);

/// A picture that is written from the back to the front. Lengths are pixels. What the style sheet of a class
/// says is in svg.cpp.
class Svg {
 public:
  struct Box {
    long x, y, width, height;
  };

  /// `title` is what a reader of the screen says.
  Svg(std::ostream& out, long width, long height, std::string_view title);
  ~Svg();
  Svg(const Svg&) = delete;
  Svg& operator=(const Svg&) = delete;

  void rect(const Box&, std::string_view css_class, long radius = 4);
  void line(long x1, long y1, long x2, long y2, std::string_view css_class);
  enum class Anchor { start, middle, end };
  /// One line; `y` is its foot. Longer text is cut to `width` with "...".
  void text(long x, long y, long width, std::string_view css_class, std::string_view bytes,
            Anchor anchor = Anchor::start);
  /// Upwards, around its middle.
  void upright_text(long x, long y, long width, std::string_view css_class, std::string_view bytes);
  /// What is drawn up to the next leave() shows `hint` under the mouse, and nothing outside of the box.
  void enter(const Box&, std::string_view hint);
  void leave();
  /// A small filled label; returns its width, which the text decides, at most `width`.
  long pill(long x, long y, long width, std::string_view css_class, std::string_view bytes);

  /// How wide a text will be, about: fonts differ.
  static long width_of(std::string_view css_class, std::string_view bytes);

 private:
  std::ostream& out_;
};

}  // namespace drover
