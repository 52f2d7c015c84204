#pragma once
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "drivers/sys/dir.hpp"
#include "drivers/sys/fd.hpp"

namespace drover::fuzz {

/// One reader of foreign bytes, with the promises that are to hold whatever the bytes are. Each is a file
/// `targets/NAME.cpp` that has one FUZZ_TARGET(NAME), has its seeds in `seeds/NAME/`, and what was found with
/// it in `finds/NAME/`.
struct Target {
  std::string_view name;
  void (*run)(std::string_view input);
};

/// Sorted by name.
const std::vector<Target>& targets();
/// Null: there is none of this name.
const Target* find_target(std::string_view name);

/// Runs it. An Error is an answer, if it is one that a user may be shown; anything else that is thrown is a
/// BrokenPromise, which is passed on.
void run_target(const Target&, std::string_view input);

/// What a promise that was not kept throws; no exception of the code under test, which may catch those.
struct BrokenPromise {
  std::string what;
};

/// Throws BrokenPromise unless it holds.
void promise(bool holds, std::string_view what);
/// Of two texts that are to be the same.
void promise_same(std::string_view one, std::string_view other, std::string_view what);
/// Of words that come out of foreign bytes and are shown, or become part of a path.
void promise_shown(std::string_view text, std::string_view what);
void promise_one_name(std::string_view text, std::string_view what);

/// Runs `f`; whether it threw Error, which must be one that a user may be shown.
bool refused(const std::function<void()>& f);

/// The parts of an input that has several: `count` of them, between lines that are "%%". The last one has all
/// that is left; those that are not there are empty.
std::vector<std::string> parts_of(std::string_view input, std::size_t count);

/// The lines of a text, without an empty one at its end.
std::vector<std::string> lines_of(std::string_view text);

/// A folder for files of one run, empty at first and gone when the process ends well.
Dir empty_folder();

/// A folder that stays from one run to the next, for code that only reads in it: a run writes what is another
/// than in the run before. Gone when the process ends well.
class KeptFolder {
 public:
  KeptFolder();
  const Dir& dir() const { return dir_; }
  /// The file at this path, below folders that are made where they are missing, has this content.
  void put(const std::string& path, std::string_view content);
  /// There is no file at this path, which put() may have made.
  void drop(const std::string& path);

 private:
  struct File {
    Fd fd;
    std::string content;
  };
  Dir dir_;
  std::map<std::string, File> files_;
};

/// Makes or overwrites a file.
void put_file(const Dir&, const char* name, std::string_view content);

bool register_target(const Target&);

}  // namespace drover::fuzz

/// Defines a target: FUZZ_TARGET(name) { ... `input` ... }
#define FUZZ_TARGET(name)                                                                    \
  static void fuzz_##name(std::string_view input);                                           \
  static const bool registered_##name = drover::fuzz::register_target({#name, fuzz_##name}); \
  static void fuzz_##name([[maybe_unused]] std::string_view input)
