// The error type is part of the public interface; rooms include it by this name.
#pragma once

#include "exaone/error.h"
