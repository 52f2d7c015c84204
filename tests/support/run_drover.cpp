#include "tests/support/run_drover.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <sstream>
#include <streambuf>

#include "cmd/app.hpp"

namespace drover::test {

namespace {

/// Keeps all that is written and tells of each line.
class LineBuffer : public std::streambuf {
 public:
  explicit LineBuffer(const std::function<void(const std::string&)>& on_line) : on_line_(on_line) {}
  const std::string& text() const { return text_; }

 private:
  int_type overflow(int_type c) override {
    if (c == traits_type::eof()) return traits_type::not_eof(c);
    text_ += traits_type::to_char_type(c);
    if (text_.back() != '\n') return c;
    std::string line = text_.substr(line_, text_.size() - line_ - 1);
    line_ = text_.size();
    if (on_line_) on_line_(line);
    return c;
  }

  const std::function<void(const std::string&)>& on_line_;
  std::string text_;
  std::size_t line_ = 0;
};

/// Standard input is empty as long as this lives.
class NoInput {
 public:
  NoInput() : saved_(::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0)) {
    int null = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    ::dup2(null, STDIN_FILENO);
    ::close(null);
  }
  ~NoInput() {
    if (saved_ < 0) return;
    ::dup2(saved_, STDIN_FILENO);
    ::close(saved_);
  }
  NoInput(const NoInput&) = delete;
  NoInput& operator=(const NoInput&) = delete;

 private:
  int saved_;
};

}  // namespace

Run run_drover(std::vector<std::string> words, const std::function<void(const std::string&)>& on_line) {
  NoInput no_input;
  words.insert(words.begin(), "drover");
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  std::ostringstream out;
  LineBuffer buffer(on_line);
  std::ostream err(&buffer);
  int code = run_app(static_cast<int>(argv.size()), argv.data(), out, err);
  return {code, out.str(), buffer.text()};
}

}  // namespace drover::test
