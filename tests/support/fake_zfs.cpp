#include "tests/support/fake_zfs.hpp"

#include <sys/stat.h>

#include <cstdlib>
#include <sstream>

namespace drover::test {

namespace {

// A line of `table` is: name, GUID, origin or "-", snapdir; separated by tabs, as `zfs list -H` has them.
constexpr const char* kProgram = R"bash(#!/bin/bash
cd "$(dirname "$0")/.." || exit 1
name=${*: -1}
touch fail
read -r fails at <fail
if [ "$1" = "$fails" ]; then
  echo >>calls
  if [ "$(wc -l <calls)" = "$at" ]; then
    echo "cannot $1 '$name': dataset is busy" >&2
    exit 1
  fi
fi
exists() { cut -f1 table | grep -qxF -- "$1"; }
rows() { awk -F'\t' -v OFS='\t' -v name="$name" -v to="$to" "$1" table; }
change() { rows "$1" >table.new && mv table.new table; }
if ! exists "$name" && [ "$1" != create ] && [ "$1" != rename ]; then
  echo "cannot open '$name': dataset does not exist" >&2
  exit 1
fi
case "$*" in
  "list "*" -d 1 "*) rows '$1 == name || (index($1, name "/") == 1 && substr($1, length(name) + 2) !~ "/")' ;;
  "list "*" -r -t filesystem,volume "*) rows '$1 == name || index($1, name "/") == 1' ;;
  "list "*" snapshot "*) ;;
  "list "*" name "*) echo "$name" ;;
  "create "*) printf '%s\t%s\t-\thidden\n' "$name" "$RANDOM$RANDOM" >>table ;;
  "rename "*)
    to=$name name=$2
    if exists "$to"; then
      echo "cannot rename '$name': dataset already exists" >&2
      exit 1
    fi
    change '{ if ($1 == name) $1 = to; if (index($3, name "@") == 1) $3 = to substr($3, length(name) + 1); print }'
    ;;
  "destroy "*)
    if [ -n "$(rows 'index($3, name "@") == 1')" ]; then
      echo "cannot destroy '$name': filesystem has dependent clones" >&2
      exit 1
    fi
    if [ "$2" != -r ] && [ -n "$(rows 'index($1, name "/") == 1')" ]; then
      echo "cannot destroy '$name': filesystem has children" >&2
      exit 1
    fi
    change '$1 != name && index($1, name "/") != 1'
    ;;
  *)
    echo "unexpected: $*" >&2
    exit 2
    ;;
esac
)bash";

}  // namespace

FakeZfs::FakeZfs() : tree_({{"/bin/zfs", kProgram}, {"/table", ""}, {"/fail", ""}, {"/calls", ""}}) {
  ::chmod(tree_.path("/bin/zfs").c_str(), 0755);
  const char* path = std::getenv("PATH");
  path_ = path ? path : "/usr/bin:/bin";
  ::setenv("PATH", (tree_.path("/bin") + ":" + path_).c_str(), 1);
}

FakeZfs::~FakeZfs() { ::setenv("PATH", path_.c_str(), 1); }

void FakeZfs::add(const std::string& name, const std::string& guid, const std::string& origin) const {
  std::string from = origin.empty() ? "-" : origin + "@123456789";
  tree_.write("/table", tree_.read("/table") + name + "\t" + guid + "\t" + from + "\thidden\n");
}

std::map<std::string, std::string> FakeZfs::filesystems() const {
  std::map<std::string, std::string> found;
  std::istringstream table(tree_.read("/table"));
  for (std::string line; std::getline(table, line);) {
    std::size_t first = line.find('\t'), second = line.find('\t', first + 1);
    found[line.substr(0, first)] = line.substr(first + 1, second - first - 1);
  }
  return found;
}

void FakeZfs::fail(const std::string& command, int nth) const {
  tree_.write("/calls", "");
  tree_.write("/fail", command + " " + std::to_string(nth) + "\n");
}

}  // namespace drover::test
