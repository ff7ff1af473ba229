// SPDX-License-Identifier: GPL-2.0-only
/*
 * softpsp: what kvm-amd calls, in place of ccp. Arguments and meanings are
 * those of <linux/psp-sev.h>; the names in the object file are those of names.h.
 */
#include "names.h"

#include <linux/errno.h>
#include <linux/export.h>
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "softpsp.h"

int sev_do_cmd(int cmd, void *data, int *psp_ret)
{
	return softpsp_issue(cmd, data, psp_ret);
}
EXPORT_SYMBOL_GPL(sev_do_cmd);

/* One that comes when all is initialized is a success: KVM calls for each VM. */
int sev_platform_init(struct sev_platform_init_args *args)
{
	struct sev_data_init init = { .flags = SEV_INIT_FLAGS_SEV_ES };
	struct sev_user_data_status status = {};
	int ret;

	ret = softpsp_issue(SEV_CMD_PLATFORM_STATUS, &status, &args->error);
	if (ret || status.state != SEV_STATE_UNINIT)
		return ret;
	ret = softpsp_issue(SEV_CMD_INIT, &init, &args->error);
	if (ret && args->error == SEV_RET_INVALID_PLATFORM_STATE) {
		/* Another caller was first. */
		args->error = SEV_RET_SUCCESS;
		ret = 0;
	}
	return ret;
}
EXPORT_SYMBOL_GPL(sev_platform_init);

void sev_platform_shutdown(void)
{
	softpsp_issue(SEV_CMD_SHUTDOWN, NULL, NULL);
}
EXPORT_SYMBOL_GPL(sev_platform_shutdown);

int sev_issue_cmd_external_user(struct file *filep, unsigned int id,
				void *data, int *error)
{
	if (!filep || !softpsp_is_device(filep))
		return -EBADF;
	return softpsp_issue(id, data, error);
}
EXPORT_SYMBOL_GPL(sev_issue_cmd_external_user);

int sev_guest_activate(struct sev_data_activate *data, int *error)
{
	return softpsp_issue(SEV_CMD_ACTIVATE, data, error);
}
EXPORT_SYMBOL_GPL(sev_guest_activate);

int sev_guest_deactivate(struct sev_data_deactivate *data, int *error)
{
	return softpsp_issue(SEV_CMD_DEACTIVATE, data, error);
}
EXPORT_SYMBOL_GPL(sev_guest_deactivate);

int sev_guest_decommission(struct sev_data_decommission *data, int *error)
{
	return softpsp_issue(SEV_CMD_DECOMMISSION, data, error);
}
EXPORT_SYMBOL_GPL(sev_guest_decommission);

int sev_guest_df_flush(int *error)
{
	return softpsp_issue(SEV_CMD_DF_FLUSH, NULL, error);
}
EXPORT_SYMBOL_GPL(sev_guest_df_flush);

void *psp_copy_user_blob(u64 uaddr, u32 len)
{
	if (!uaddr || !len || len > SEV_FW_BLOB_MAX_SIZE)
		return ERR_PTR(-EINVAL);
	return memdup_user(u64_to_user_ptr(uaddr), len);
}
EXPORT_SYMBOL_GPL(psp_copy_user_blob);

/* Without SEV-SNP a page of the firmware is a page. */
void *snp_alloc_firmware_page(gfp_t mask)
{
	return (void *)__get_free_page(mask);
}
EXPORT_SYMBOL_GPL(snp_alloc_firmware_page);

void snp_free_firmware_page(void *addr)
{
	free_page((unsigned long)addr);
}
EXPORT_SYMBOL_GPL(snp_free_firmware_page);
