// The name service of the static executable: it knows no names. glibc's own would load shared libraries at
// run time, of whatever version the host or container has; drover works with numeric IDs only, and libmount
// and libarchive, which ask for names on paths that drover does not use, hear "no such entry" here.
#include <grp.h>
#include <pwd.h>

#include <cstddef>

extern "C" {

struct passwd* getpwnam(const char*) {
  return nullptr;
}
struct passwd* getpwuid(uid_t) {
  return nullptr;
}
struct group* getgrnam(const char*) {
  return nullptr;
}
struct group* getgrgid(gid_t) {
  return nullptr;
}

int getpwnam_r(const char*, struct passwd*, char*, size_t, struct passwd** found) {
  *found = nullptr;
  return 0;
}

int getpwuid_r(uid_t, struct passwd*, char*, size_t, struct passwd** found) {
  *found = nullptr;
  return 0;
}

int getgrnam_r(const char*, struct group*, char*, size_t, struct group** found) {
  *found = nullptr;
  return 0;
}

int getgrgid_r(gid_t, struct group*, char*, size_t, struct group** found) {
  *found = nullptr;
  return 0;
}

}  // extern "C"
