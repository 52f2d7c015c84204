// Runs a command as on a kernel without any system call that came after Linux 5.0: each is answered as there,
// with ENOSYS (openat2, fsopen, pidfd_open, clone3 ...). Needs root.
//
// usage: on_old_kernel COMMAND [ARGUMENT...]
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <iterator>

namespace {

// From here on all architectures number alike, and none has a call of Linux 5.0 or before (syscall.tbl).
constexpr unsigned kFirstNew = 424, kEnd = 0x40000000;

bool forget_new_calls() {
  sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, kFirstNew, 0, 2),
      BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, kEnd, 1, 0),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  sock_fprog filter{std::size(program), program};
  return ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fputs("usage: on_old_kernel COMMAND [ARGUMENT...]\n", stderr);
    return 2;
  }
  if (!forget_new_calls()) {
    std::perror("on_old_kernel: cannot filter system calls");
    return 125;
  }
  ::execvp(argv[1], argv + 1);
  std::perror(argv[1]);
  return 127;
}
