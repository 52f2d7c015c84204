#include "cmd/svg.hpp"

#include <algorithm>
#include <ostream>

#include "cmd/layers_report.hpp"
#include "drivers/sys/printable.hpp"

namespace drover {

namespace {

// Colours are Okabe and Ito's in pale: blue and orange keep apart for colour-blind eyes, too.
constexpr const char* kStyle = R"(
  text { font-family: 'Inter', 'Segoe UI', 'Helvetica Neue', Helvetica, Arial, 'DejaVu Sans', sans-serif;
         font-size: 12px; fill: #1f2a37; }
  .title { font-size: 18px; font-weight: 600; }
  .sub { fill: #5b6b7d; }
  .strong { font-weight: 600; }
  .mono { font-family: 'JetBrains Mono', 'SFMono-Regular', Menlo, Consolas, 'DejaVu Sans Mono', monospace;
          font-size: 11px; fill: #5b6b7d; }
  .number { font-size: 11px; fill: #1f2a37; }
  .warn { font-size: 11px; fill: #a6380b; }
  .page { fill: #ffffff; }
  .card { fill: #fbfcfd; stroke: #d9e0e8; }
  .shared { fill: #d5e6f7; stroke: #5a93c8; }
  .own { fill: #e5f1e8; stroke: #72a884; }
  .unused { fill: #eef0f2; stroke: #b3bcc6; }
  .init { fill: #fff7e8; stroke: #d9b26a; stroke-dasharray: 4 3; }
  .writable { fill: #fde6c4; stroke: #cf8420; stroke-dasharray: 4 3; stroke-width: 1.5; }
  .bar { fill: #33658f; fill-opacity: 0.45; }
  .image { fill: #2b5a86; }
  .container { fill: #a9640f; }
  .pill { font-size: 11px; fill: #ffffff; }
  .rule { stroke: #c3ccd6; }
  .bracket { stroke: #8494a5; stroke-width: 1.5; fill: none; }
)";

std::size_t character_count(std::string_view text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

/// Tenths of a pixel that a character takes on the average.
long tenths_of(std::string_view css_class) {
  if (css_class == "title") return 95;
  if (css_class == "strong") return 70;
  if (css_class == "mono") return 67;
  return css_class == "number" || css_class == "pill" || css_class == "warn" ? 60 : 62;
}

std::string fitted(std::string_view css_class, std::string_view bytes, long width) {
  std::string text = printable(bytes);
  long fits = std::max(width, 0L) * 10 / tenths_of(css_class);
  if (fits < 4) return Svg::width_of(css_class, text) <= width ? text : std::string();
  return shortened(text, static_cast<std::size_t>(fits));
}

/// As `printable` text is turned into XML: no control characters are left in it.
std::string escaped(std::string_view text) {
  std::string xml;
  for (std::size_t i = 0; i < text.size(); ++i) {
    switch (text[i]) {
      case '&':
        xml += "&amp;";
        break;
      case '<':
        xml += "&lt;";
        break;
      case '>':
        xml += "&gt;";
        break;
      case '"':
        xml += "&quot;";
        break;
      case '\'':
        xml += "&#39;";
        break;
      default:
        // U+FFFE and U+FFFF, which are no characters of XML.
        if (text.substr(i, 3) == "\xef\xbf\xbe" || text.substr(i, 3) == "\xef\xbf\xbf") {
          xml += "\xef\xbf\xbd";
          i += 2;
        } else {
          xml += text[i];
        }
    }
  }
  return xml;
}

}  // namespace

std::string xml_text(std::string_view bytes) { return escaped(printable(bytes)); }

Svg::Svg(std::ostream& out, long width, long height, std::string_view title) : out_(out) {
  out_ << R"(<?xml version="1.0" encoding="UTF-8"?>)"
       << "\n<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"" << width << "\" height=\"" << height
       << "\" viewBox=\"0 0 " << width << ' ' << height << "\" role=\"img\">\n"
       << "<title>" << xml_text(title) << "</title>\n<style>" << kStyle << "</style>\n";
  rect({0, 0, width, height}, "page", 0);
}

Svg::~Svg() { out_ << "</svg>\n"; }

void Svg::rect(const Box& box, std::string_view css_class, long radius) {
  out_ << "<rect class=\"" << css_class << "\" x=\"" << box.x << "\" y=\"" << box.y << "\" width=\""
       << box.width << "\" height=\"" << box.height << "\" rx=\"" << radius << "\"/>\n";
}

void Svg::line(long x1, long y1, long x2, long y2, std::string_view css_class) {
  out_ << "<path class=\"" << css_class << "\" d=\"M" << x1 << ' ' << y1 << " L" << x2 << ' ' << y2
       << "\"/>\n";
}

void Svg::text(long x, long y, long width, std::string_view css_class, std::string_view bytes,
               Anchor anchor) {
  constexpr const char* kAnchors[] = {"start", "middle", "end"};
  std::string text = fitted(css_class, bytes, width);
  if (text.empty()) return;
  out_ << "<text class=\"" << css_class << "\" x=\"" << x << "\" y=\"" << y << '"';
  if (anchor != Anchor::start) out_ << " text-anchor=\"" << kAnchors[static_cast<int>(anchor)] << '"';
  out_ << '>' << escaped(text) << "</text>\n";
}

void Svg::upright_text(long x, long y, long width, std::string_view css_class, std::string_view bytes) {
  out_ << "<text class=\"" << css_class << R"(" text-anchor="middle" transform="translate()" << x << ' ' << y
       << ") rotate(-90)\">" << escaped(fitted(css_class, bytes, width)) << "</text>\n";
}

void Svg::enter(const Box& box, std::string_view hint) {
  // A picture in the picture: it clips what is too wide, whatever the font.
  out_ << "<svg x=\"" << box.x << "\" y=\"" << box.y << "\" width=\"" << box.width << "\" height=\""
       << box.height << "\"><title>" << xml_text(hint) << "</title>\n";
}

void Svg::leave() { out_ << "</svg>\n"; }

long Svg::pill(long x, long y, long width, std::string_view css_class, std::string_view bytes) {
  constexpr long kPadding = 7, kHeight = 17;
  std::string text = fitted("pill", bytes, width - 2 * kPadding);
  long taken = width_of("pill", text) + 2 * kPadding;
  rect({x, y, taken, kHeight}, css_class, kHeight / 2);
  this->text(x + taken / 2, y + 12, taken, "pill", text, Anchor::middle);
  return taken;
}

long Svg::width_of(std::string_view css_class, std::string_view bytes) {
  return (static_cast<long>(character_count(bytes)) * tenths_of(css_class) + 9) / 10;
}

}  // namespace drover
