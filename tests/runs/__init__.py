# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
