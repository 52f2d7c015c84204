#include "cmd/progress.hpp"

#include <unistd.h>

#include <mutex>
#include <nlohmann/json.hpp>
#include <ostream>

#include "cmd/context.hpp"
#include "drivers/sys/log.hpp"

namespace drover {

namespace {

class PlainProgress : public Progress {
 public:
  explicit PlainProgress(std::ostream& out) : out_(out) {}
  void phase(const std::string& what) override { out_ << what << std::endl; }
  void step(const std::string& what, std::size_t done, std::size_t total) override {
    constexpr std::size_t kLines = 10;
    // A line whenever another tenth is done.
    if (done * kLines / total != (done - 1) * kLines / total || done == total)
      out_ << done << "/" << total << " " << what << std::endl;
  }

 private:
  std::ostream& out_;
};

/// One line that is written over. Lines of the log go above it.
class TtyProgress : public Progress {
 public:
  explicit TtyProgress(std::ostream& out) : out_(out) {
    shown = this;
    set_log_hooks([] { shown->erase(); }, [] { shown->draw(); });
  }
  ~TtyProgress() override {
    set_log_hooks(nullptr, nullptr);
    erase();
  }
  void phase(const std::string& what) override { show(what); }
  void step(const std::string& what, std::size_t done, std::size_t total) override {
    show("[" + std::to_string(done) + "/" + std::to_string(total) + "] " + what);
  }
  void pause() override { show(""); }

 private:
  void show(std::string line) {
    {
      std::lock_guard lock(mutex_);
      line_ = std::move(line);
    }
    draw();
  }
  void erase() {
    std::lock_guard lock(mutex_);
    out_ << "\r\033[K" << std::flush;
  }
  /// Also called by whichever thread logs a line.
  void draw() {
    std::lock_guard lock(mutex_);
    constexpr std::size_t kWidth = 79;  // a longer line would wrap, and could not be written over
    out_ << "\r\033[K" << line_.substr(0, kWidth) << std::flush;
  }
  static inline TtyProgress* shown = nullptr;
  std::ostream& out_;
  std::mutex mutex_;
  std::string line_;
};

class JsonProgress : public Progress {
 public:
  explicit JsonProgress(std::ostream& out) : out_(out) {}
  void phase(const std::string& what) override { print({{"phase", what}}); }
  void step(const std::string& what, std::size_t done, std::size_t total) override {
    print({{"done", done}, {"total", total}, {"what", what}});
  }

 private:
  void print(const nlohmann::ordered_json& line) {
    out_ << line.dump(-1, ' ', true, nlohmann::ordered_json::error_handler_t::replace) << std::endl;
  }
  std::ostream& out_;
};

}  // namespace

std::unique_ptr<Progress> make_progress(Context& context) {
  const std::string& how = context.progress;
  bool terminal = how == "tty" || (how == "auto" && ::isatty(STDERR_FILENO));
  if (how == "none" || (log_level() == LogLevel::quiet && how == "auto")) return std::make_unique<Progress>();
  if (how == "json") return std::make_unique<JsonProgress>(context.err);
  if (terminal) return std::make_unique<TtyProgress>(context.err);
  return std::make_unique<PlainProgress>(context.err);
}

}  // namespace drover
