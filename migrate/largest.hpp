#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

namespace drover {

/// Some of many, in memory that does not grow with how many there are: their number, what they hold
/// together, and the largest. T has `bytes` and `path`.
template <class T>
class Largest {
 public:
  explicit Largest(std::size_t kept = 0) : kept_(kept) {}

  void add(T item) {
    ++count_;
    bytes_ += item.bytes;
    if (kept_ == 0) return;
    items_.push_back(std::move(item));
    std::push_heap(items_.begin(), items_.end(), before);
    if (items_.size() <= kept_) return;
    std::pop_heap(items_.begin(), items_.end(), before);
    items_.pop_back();
  }

  std::uint64_t count() const { return count_; }
  std::uint64_t bytes() const { return bytes_; }
  /// Those that were kept: the largest first, of one size by their path.
  std::vector<T> items() const {
    std::vector<T> sorted = items_;
    std::sort(sorted.begin(), sorted.end(), before);
    return sorted;
  }

 private:
  static bool before(const T& a, const T& b) {
    return std::tuple(b.bytes, std::string_view(a.path)) < std::tuple(a.bytes, std::string_view(b.path));
  }

  std::size_t kept_;
  std::uint64_t count_ = 0, bytes_ = 0;
  std::vector<T> items_;
};

}  // namespace drover
