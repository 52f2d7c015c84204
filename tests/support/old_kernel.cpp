#include "tests/support/old_kernel.hpp"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/personality.h>
#include <sys/prctl.h>

#include <cstddef>
#include <iterator>

#include "drivers/sys/error.hpp"

namespace drover::test {

void answer_call(unsigned call, int error, unsigned bits) {
  // Of an argument's halves the low one is looked at, which on these machines comes first.
  sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args[2])),
      BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, bits, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<unsigned>(error)),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  if (bits == 0) program[1] = BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 2, 3);
  sock_fprog filter{std::size(program), program};
  if (::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0) throw_errno("cannot filter system calls");
}

void tell_old_version() {
  int now = ::personality(0xffffffff);
  if (now < 0 || ::personality(static_cast<unsigned>(now) | UNAME26) < 0)
    throw_errno("cannot change what uname tells");
}

}  // namespace drover::test
