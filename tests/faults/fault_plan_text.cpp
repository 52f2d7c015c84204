#include "tests/faults/fault_plan_text.hpp"

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <charconv>

namespace drover::faults {

namespace {

constexpr struct {
  std::string_view name;
  Plan::What what;
  int error;
} kKnown[] = {{"before", Plan::What::before, 0},     {"after", Plan::What::after, 0},
              {"stop", Plan::What::stop, 0},         {"term", Plan::What::term, 0},
              {"short", Plan::What::short_write, 0}, {"ENOSPC", Plan::What::error, ENOSPC},
              {"EIO", Plan::What::error, EIO},       {"EDQUOT", Plan::What::error, EDQUOT},
              {"EROFS", Plan::What::error, EROFS},   {"EMFILE", Plan::What::error, EMFILE}};

/// "731", or "renameat2:image/": a call begins with no digit.
bool parse_place(std::string_view text, Plan& plan) {
  if (std::size_t colon = text.find(':'); colon != std::string_view::npos) {
    plan.call = text.substr(0, colon);
    plan.part = text.substr(colon + 1);
    return !plan.call.empty() && !plan.part.empty() &&
           !std::isdigit(static_cast<unsigned char>(plan.call[0]));
  }
  auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), plan.at);
  return problem == std::errc() && end == text.data() + text.size() && plan.at > 0;
}

}  // namespace

bool Plan::names(unsigned long made, std::string_view made_by, std::string_view path) const {
  return at > 0 ? made == at : made_by == call && path.find(part) != std::string_view::npos;
}

std::optional<Plan> parse_plan(std::string_view text) {
  Plan plan;
  plan.onwards = text.ends_with('+');
  if (plan.onwards) text.remove_suffix(1);
  std::size_t at = text.find('@');
  if (at == std::string_view::npos) return std::nullopt;
  auto known = std::find_if(std::begin(kKnown), std::end(kKnown),
                            [&](const auto& one) { return one.name == text.substr(0, at); });
  if (known == std::end(kKnown) || !parse_place(text.substr(at + 1), plan)) return std::nullopt;
  plan.what = known->what;
  plan.error = known->error;
  return plan;
}

}  // namespace drover::faults
