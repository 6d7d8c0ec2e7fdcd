# The front door: what a reader types. The build itself is CMake's (CMakePresets.json).
MODEL ?=
JOBS ?= $(shell nproc)

.PHONY: run test tsan nightly format lint packages build clean

# Installs what is missing, builds, and shows the model that comes along, or talks to MODEL.
run: packages build
	@tools/setup/start.sh build/release/exaone "$(MODEL)"

# Installs what is missing, builds and runs every test, then again under AddressSanitizer and UBSan.
test: packages
	@tools/setup/run_tests.sh $(JOBS) release asan

tsan: packages
	@tools/setup/run_tests.sh $(JOBS) tsan

# What takes too long for every commit: all tests on the release build and under ThreadSanitizer, and the fuzz harnesses with
# libFuzzer (needs clang and libclang-rt-dev).
nightly: packages
	@tools/setup/run_tests.sh $(JOBS) nightly tsan fuzz

build:
	cmake --preset release
	cmake --build --preset release --target exaone -j $(JOBS)

packages:
	@tools/setup/install_packages.sh

format:
	clang-format -i $$(git ls-files 'src/*.cpp' 'src/*.h' 'include/*.h' 'tests/*.cpp' 'tests/*.h' 'fuzz/*.cpp' 'bench/*.cpp')

lint:
	cmake --preset release
	clang-tidy -p build/release --quiet $$(git ls-files 'src/*.cpp')

clean:
	rm -rf build
