#include "cli/program.h"

int main(int argc, char** argv) {
  return exa::run_program(argc, argv);
}
