// drover_fuzz_mutate [--runs N] [--seed S] [TARGET...]: runs targets over their seeds and finds, and over
// these with bytes changed, left out, doubled, moved and mixed at random, N times each. For compilers without
// libFuzzer, and for places where building with it takes too long; the same seed does the same.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <random>

#include "tests/fuzz/inputs.hpp"
#include "tests/fuzz/target.hpp"

using namespace drover::fuzz;

namespace {

struct Options {
  unsigned long runs = 1000, seed = 1;
  std::vector<const Target*> targets;
};

Options parse_options(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    std::string word = argv[i];
    bool number = (word == "--runs" || word == "--seed") && i + 1 < argc;
    if (number) {
      (word == "--runs" ? options.runs : options.seed) = std::stoul(argv[++i]);
    } else if (const Target* target = find_target(word)) {
      options.targets.push_back(target);
    } else {
      std::cerr << "usage: drover_fuzz_mutate [--runs N] [--seed S] [TARGET...]\n";
      std::exit(2);
    }
  }
  if (options.targets.empty())
    for (const Target& target : targets()) options.targets.push_back(&target);
  return options;
}

using Random = std::mt19937;

/// `other`: what bytes are taken from.
void mutate(std::string& bytes, const std::string& other, Random& random) {
  constexpr std::string_view kSigns = "\"\\{}[]:,.=/\n\t %#'-+0129aez";
  std::size_t at = random() % (bytes.size() + 1);
  std::size_t length = std::min<std::size_t>(random() % (random() % 4 == 0 ? 600 : 8), bytes.size() - at);
  switch (random() % 8) {
    case 0:
      if (length > 0) bytes[at] = static_cast<char>(random());
      break;
    case 1:
      if (length > 0) bytes[at] = static_cast<char>(bytes[at] ^ (1 << random() % 8));
      break;
    case 2:
      bytes.erase(at, length);
      break;
    case 3:
      bytes.insert(at, bytes.substr(at, length));
      break;
    case 4:
      bytes.insert(at, 1, kSigns[random() % kSigns.size()]);
      break;
    case 5:
      if (length > 0) bytes[at] = kSigns[random() % kSigns.size()];
      break;
    case 6:
      if (!other.empty()) bytes.replace(at, length, other.substr(random() % other.size(), length));
      break;
    default:
      if (!other.empty()) bytes.insert(at, other.substr(random() % other.size(), random() % 64));
      break;
  }
}

/// Whether all promises were kept.
bool run(const Target& target, unsigned long runs, unsigned long seed) {
  std::vector<std::string> inputs = inputs_of(target.name);
  auto begin = std::chrono::steady_clock::now();
  std::string bytes;
  for (unsigned long run = 0; run < runs + inputs.size(); ++run) {
    Random random(static_cast<Random::result_type>(seed + run));
    bytes = inputs[run % inputs.size()];
    if (run >= inputs.size())
      for (unsigned count = 1 + random() % 5; count > 0; --count)
        mutate(bytes, inputs[random() % inputs.size()], random);
    try {
      run_target(target, bytes);
    } catch (const BrokenPromise& broken) {
      std::string find = "find-" + std::string(target.name);
      std::ofstream(find, std::ios::binary) << bytes;
      std::cout << target.name << ": broken promise: " << broken.what << "\n  run " << run << " from seed "
                << seed << "; the input is kept as `" << find << "`" << std::endl;
      return false;
    }
  }
  std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  std::printf("%-24s %10lu runs %8.1f s\n", std::string(target.name).c_str(), runs, took.count());
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  Options options = parse_options(argc, argv);
  bool good = true;
  for (const Target* target : options.targets) good = run(*target, options.runs, options.seed) && good;
  std::cout << options.targets.size() << " targets, from seed " << options.seed << "\n";
  return good ? 0 : 1;
}
