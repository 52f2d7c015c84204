#pragma once

namespace drover::test {

// What older kernels do otherwise, for the rest of the calling process. All throw SystemError.

/// This system call is answered with an error; with 0 it is said to be done, and is not. With `bits`: only
/// where its third argument has one of them.
void answer_call(unsigned call, int error, unsigned bits = 0);

/// uname(2) tells of a kernel before 3.0.
void tell_old_version();

}  // namespace drover::test
