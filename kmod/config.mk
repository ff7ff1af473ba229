# SPDX-License-Identifier: GPL-2.0-only
#
# What KVM is configured with where Debian's own kernel is kept. Debian's config has all that we
# need of KVM but this one; our modules are built with it without a kernel of our own. The type
# information of modules (BTF) needs one more tool and serves nobody here.
CONFIG := CONFIG_KVM_SW_PROTECTED_VM=y CONFIG_DEBUG_INFO_BTF_MODULES=
KCONFIG := $(CONFIG) KCFLAGS=-DCONFIG_KVM_SW_PROTECTED_VM=1
