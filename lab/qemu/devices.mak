# SPDX-License-Identifier: GPL-2.0-or-later
#
# The devices that the lab's QEMU has: the PC board and what lab/machine puts on it.
# The rest of QEMU's PCI devices would be a quarter of the build.
CONFIG_PCI_DEVICES=n
CONFIG_TEST_DEVICES=n
CONFIG_AMD_IOMMU=n
CONFIG_HYPERV=n
CONFIG_ISA_IPMI_BT=n
CONFIG_ISA_IPMI_KCS=n
CONFIG_IPMI_SSIF=n
CONFIG_SEV=n
CONFIG_SGX=n
CONFIG_TPM_CRB=n
CONFIG_TPM_TIS_ISA=n
CONFIG_VTD=n

CONFIG_I440FX=y
CONFIG_VIRTIO_PCI=y
CONFIG_VIRTIO_SERIAL=y
CONFIG_VIRTIO_9P=y
