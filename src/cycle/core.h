/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include "cycle/module.h"

extern const struct module core_module;
