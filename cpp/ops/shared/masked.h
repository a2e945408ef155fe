#pragma once

#include "op/head.h"
