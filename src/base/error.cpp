#include "base/error.h"

namespace exa {

int exit_code(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kUsage:
      return 1;
    case ErrorKind::kBadInput:
      return 2;
    case ErrorKind::kUnsupported:
      return 3;
    case ErrorKind::kMemory:
      return 4;
    case ErrorKind::kIo:
      return 5;
    case ErrorKind::kIncomplete:
      return 7;
    case ErrorKind::kInterrupted:
      return 130;
    case ErrorKind::kInternal:
      return 70;
  }
  return 70;
}

}  // namespace exa
