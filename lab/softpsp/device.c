// SPDX-License-Identifier: GPL-2.0-only
/*
 * softpsp: /dev/sev. Programs get a descriptor of it to give to KVM, ask for
 * the platform's status and identity, and, tests only, issue commands as the
 * mailbox takes them.
 */
#include <linux/capability.h>
#include <linux/fs.h>
#include <linux/io.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "softpsp.h"
#include "softpsp_ioctl.h"

/*
 * A function of the device: @data is the user's address from
 * &struct sev_issue_cmd, @error goes there. Returns 0 or -errno.
 */
typedef int softpsp_function(u64 data, int *error);

static int ioctl_platform_status(u64 data, int *error)
{
	struct sev_user_data_status status = {};
	int ret;

	ret = softpsp_issue(SEV_CMD_PLATFORM_STATUS, &status, error);
	if (ret)
		return ret;
	if (copy_to_user(u64_to_user_ptr(data), &status, sizeof(status)))
		return -EFAULT;
	return 0;
}

/* GET_ID into @id of @len bytes, which must not be vmalloc'ed or on the stack. */
static int get_id(void *id, u32 *len, int *error)
{
	struct sev_data_get_id get = {
		.address = virt_to_phys(id),
		.len = *len,
	};
	int ret;

	ret = softpsp_issue(SEV_CMD_GET_ID, &get, error);
	*len = get.len;
	return ret;
}

/* The older of two: room for two sockets, of which there is one. */
static int ioctl_get_id(u64 data, int *error)
{
	struct sev_user_data_get_id *ids;
	u32 len = sizeof(*ids);
	int ret;

	ids = kzalloc(sizeof(*ids), GFP_KERNEL);
	if (!ids)
		return -ENOMEM;
	ret = get_id(ids, &len, error);
	if (!ret && copy_to_user(u64_to_user_ptr(data), ids, sizeof(*ids)))
		ret = -EFAULT;
	kfree(ids);
	return ret;
}

/* With a buffer that is too small, the length comes back. */
static int ioctl_get_id2(u64 data, int *error)
{
	void *id __free(kfree) = NULL;
	struct sev_user_data_get_id2 get;
	u32 len;
	int ret;

	if (copy_from_user(&get, u64_to_user_ptr(data), sizeof(get)))
		return -EFAULT;
	len = min_t(u32, get.length, SEV_FW_BLOB_MAX_SIZE);
	id = kzalloc(len ? len : 1, GFP_KERNEL);
	if (!id)
		return -ENOMEM;
	ret = get_id(id, &len, error);
	if (!ret && copy_to_user(u64_to_user_ptr(get.address), id, len))
		return -EFAULT;
	get.length = len;
	if (copy_to_user(u64_to_user_ptr(data), &get, sizeof(get)))
		return -EFAULT;
	return ret;
}

/* Not there: certificates, keys of the platform, SEV-SNP. */
static softpsp_function * const functions[SEV_MAX] = {
	[SEV_PLATFORM_STATUS]	= ioctl_platform_status,
	[SEV_GET_ID]		= ioctl_get_id,
	[SEV_GET_ID2]		= ioctl_get_id2,
};

static long issue_function(struct sev_issue_cmd __user *arg)
{
	struct sev_issue_cmd cmd;
	int error = SEV_RET_UNSUPPORTED;
	int ret = -EIO;

	if (copy_from_user(&cmd, arg, sizeof(cmd)))
		return -EFAULT;
	if (cmd.cmd >= SEV_MAX)
		return -EINVAL;
	if (functions[cmd.cmd])
		ret = functions[cmd.cmd](cmd.data, &error);
	cmd.error = error;
	if (copy_to_user(arg, &cmd, sizeof(cmd)))
		return -EFAULT;
	return ret;
}

static long issue_command(struct softpsp_command __user *arg)
{
	void *buffer __free(kfree) = NULL;
	struct softpsp_command command;
	int size, ret, error;

	/* Commands write to physical memory. */
	if (!capable(CAP_SYS_RAWIO))
		return -EPERM;
	if (copy_from_user(&command, arg, sizeof(command)))
		return -EFAULT;
	size = softpsp_buffer_size(command.id);
	if (command.reserved || (size >= 0 && command.size != size))
		return -EINVAL;
	if (size > 0) {
		buffer = memdup_user(u64_to_user_ptr(command.buffer), size);
		if (IS_ERR(buffer))
			return PTR_ERR(buffer);
	}
	ret = softpsp_issue(command.id, buffer, &error);
	if (ret && ret != -EIO)
		return ret;
	command.error = error;
	if (buffer && copy_to_user(u64_to_user_ptr(command.buffer), buffer, size))
		return -EFAULT;
	if (copy_to_user(arg, &command, sizeof(command)))
		return -EFAULT;
	return 0;
}

static long exchange_entry(struct softpsp_entry __user *arg)
{
	struct softpsp_entry entry;
	int ret;

	if (!capable(CAP_SYS_RAWIO))
		return -EPERM;
	if (copy_from_user(&entry, arg, sizeof(entry)))
		return -EFAULT;
	ret = softpsp_exchange_entry(&entry);
	if (!ret && copy_to_user(arg, &entry, sizeof(entry)))
		return -EFAULT;
	return ret;
}

static long softpsp_device_ioctl(struct file *file, unsigned int ioctl,
				 unsigned long arg)
{
	void __user *user = (void __user *)arg;

	switch (ioctl) {
	case SEV_ISSUE_CMD:
		return issue_function(user);
	case SOFTPSP_COMMAND:
		return issue_command(user);
	case SOFTPSP_FLUSHES:
		return put_user(softpsp_flushes(), (u64 __user *)user);
	case SOFTPSP_ENTRY:
		return exchange_entry(user);
	default:
		return -ENOTTY;
	}
}

static const struct file_operations softpsp_device_fops = {
	.owner		= THIS_MODULE,
	.unlocked_ioctl	= softpsp_device_ioctl,
};

static struct miscdevice softpsp_device = {
	.minor	= MISC_DYNAMIC_MINOR,
	.name	= "sev",
	.fops	= &softpsp_device_fops,
	.mode	= 0600,
};

/**
 * softpsp_is_device - whether a file is /dev/sev
 * @file: the file
 *
 * Return: that.
 */
bool softpsp_is_device(struct file *file)
{
	return file->f_op == &softpsp_device_fops;
}

/**
 * softpsp_register_device - make /dev/sev
 *
 * Return: 0, or -errno.
 */
int softpsp_register_device(void)
{
	return misc_register(&softpsp_device);
}

/**
 * softpsp_unregister_device - /dev/sev is no more
 */
void softpsp_unregister_device(void)
{
	misc_deregister(&softpsp_device);
}
