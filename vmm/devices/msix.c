// SPDX-License-Identifier: MIT
/*
 * After the PCI Local Bus Specification 3.0, 6.8.2. KVM has routes for the messages of vectors that
 * may be signalled; a masked vector is never signalled, so its route may be missing or out of date.
 */
#include <errno.h>
#include <linux/pci_regs.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/events.h"
#include "common/say.h"
#include "devices/msix.h"

#define FIRST_GSI	24U	/* after the I/O APIC's pins */

struct capability {
	uint8_t id;
	uint8_t next;
	uint16_t control;
	uint32_t table;
	uint32_t pending;
};

/* ---- Routes in KVM ---- */

static bool may_signal(const struct msix *msix, uint32_t vector)
{
	return msix->enabled && !msix->masked &&
	       !(msix->now.table[vector].control & PCI_MSIX_ENTRY_CTRL_MASKBIT);
}

static uint32_t add_routes(const struct msix *msix, struct gmem_msi_route *routes)
{
	uint32_t i, nr = 0;

	for (i = 0; i < msix->nr; i++) {
		const struct msix_entry *entry = &msix->now.table[i];

		if (!may_signal(msix, i))
			continue;
		routes[nr++] = (struct gmem_msi_route){
			.gsi = msix->gsi + i, .data = entry->data,
			.address = (uint64_t)entry->address_high << 32 | entry->address_low,
		};
	}
	return nr;
}

static void set_routes(struct msi_router *router)
{
	struct gmem_msi_route routes[MSIX_FUNCTIONS * MSIX_VECTORS];
	uint32_t i, nr = 0;
	int ret;

	for (i = 0; i < router->nr; i++)
		nr += add_routes(router->functions[i], routes + nr);
	ret = gmem_vm_set_msi_routes(router->vm, routes, nr);
	if (ret)
		say_failed(ret, "telling KVM the guest's interrupts");
}

/* Raise interrupts that came while they were masked, and are not masked any more. */
static void signal_pending(struct msix *msix)
{
	uint32_t i;

	for (i = 0; i < msix->nr; i++)
		if (msix->now.pending & 1U << i && may_signal(msix, i))
			msix_signal(msix, i);
}

/* ---- The guest's side ---- */

void msix_table_read(struct msix *msix, uint32_t offset, void *data, uint32_t size)
{
	memset(data, 0, size);
	if (offset + size <= msix->nr * MSIX_ENTRY_SIZE)
		memcpy(data, (uint8_t *)msix->now.table + offset, size);
}

void msix_table_write(struct msix *msix, uint32_t offset, const void *data, uint32_t size)
{
	uint32_t vector = offset / MSIX_ENTRY_SIZE;
	bool told;

	if (offset % size || size < sizeof(uint32_t) ||
	    offset + size > msix->nr * MSIX_ENTRY_SIZE)
		return;
	pthread_mutex_lock(&msix->lock);
	told = may_signal(msix, vector);
	memcpy((uint8_t *)msix->now.table + offset, data, size);
	msix->now.table[vector].control &= PCI_MSIX_ENTRY_CTRL_MASKBIT;
	told |= may_signal(msix, vector);
	if (told)
		set_routes(msix->router);
	pthread_mutex_unlock(&msix->lock);
	if (told)
		signal_pending(msix);
}

void msix_pending_read(struct msix *msix, uint32_t offset, void *data, uint32_t size)
{
	uint64_t pending = msix->now.pending;

	memset(data, 0, size);
	if (offset + size <= sizeof(pending))
		memcpy(data, (uint8_t *)&pending + offset, size);
}

void msix_configured(struct msix *msix)
{
	uint16_t control;
	bool enabled, masked, changed;

	memcpy(&control, msix->function->config + msix->capability + PCI_MSIX_FLAGS,
	       sizeof(control));
	enabled = control & PCI_MSIX_FLAGS_ENABLE;
	masked = control & PCI_MSIX_FLAGS_MASKALL;
	pthread_mutex_lock(&msix->lock);
	changed = enabled != msix->enabled || masked != msix->masked;
	msix->enabled = enabled;
	msix->masked = masked;
	if (changed)
		set_routes(msix->router);
	pthread_mutex_unlock(&msix->lock);
	if (changed)
		signal_pending(msix);
}

/* ---- The device's side ---- */

void msix_signal(struct msix *msix, uint32_t vector)
{
	if (vector >= msix->nr || msix->fds[vector] < 0)
		return;
	pthread_mutex_lock(&msix->lock);
	if (may_signal(msix, vector)) {
		msix->now.pending &= ~(1U << vector);
		event_raise(msix->fds[vector], "raising an interrupt");
	} else {
		msix->now.pending |= 1U << vector;
	}
	pthread_mutex_unlock(&msix->lock);
}

void msix_save(struct msix *msix, struct msix_state *state)
{
	pthread_mutex_lock(&msix->lock);
	*state = msix->now;
	pthread_mutex_unlock(&msix->lock);
}

void msix_restore(struct msix *msix, const struct msix_state *state)
{
	uint32_t i;

	pthread_mutex_lock(&msix->lock);
	msix->now = *state;
	msix->now.pending &= (1U << msix->nr) - 1;
	for (i = 0; i < MSIX_VECTORS; i++)
		msix->now.table[i].control &= PCI_MSIX_ENTRY_CTRL_MASKBIT;
	set_routes(msix->router);
	pthread_mutex_unlock(&msix->lock);
	signal_pending(msix);
}

static void add_capability(struct msix *msix, uint32_t table, uint32_t pending)
{
	const struct capability capability = {
		.id = PCI_CAP_ID_MSIX, .control = msix->nr - 1,
		.table = table, .pending = pending,
	};
	struct pci_function *function = msix->function;
	const uint16_t writable = PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL;

	msix->capability = pci_add_capability(function, &capability, sizeof(capability));
	memcpy(function->writable + msix->capability + PCI_MSIX_FLAGS, &writable,
	       sizeof(writable));
}

static int open_vector(struct msix *msix, uint32_t vector)
{
	int ret;

	msix->fds[vector] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (msix->fds[vector] < 0)
		return -errno;
	ret = gmem_vm_irqfd(msix->router->vm, msix->fds[vector], msix->gsi + vector, 1);
	if (ret) {
		close(msix->fds[vector]);
		msix->fds[vector] = -1;
	}
	return ret;
}

int msix_init(struct msix *msix, struct msi_router *router,
	      struct pci_function *function, uint32_t nr, uint32_t table, uint32_t pending)
{
	uint32_t i;
	int ret = 0;

	*msix = (struct msix){
		.lock = PTHREAD_MUTEX_INITIALIZER, .router = router,
		.function = function, .nr = nr,
		.gsi = FIRST_GSI + router->nr * MSIX_VECTORS,
	};
	for (i = 0; i < MSIX_VECTORS; i++) {
		msix->fds[i] = -1;
		msix->now.table[i].control = PCI_MSIX_ENTRY_CTRL_MASKBIT;
	}
	if (nr > MSIX_VECTORS || router->nr == MSIX_FUNCTIONS)
		return -ENOSPC;
	add_capability(msix, table, pending);
	for (i = 0; i < nr && !ret; i++)
		ret = open_vector(msix, i);
	if (!ret)
		router->functions[router->nr++] = msix;
	return ret;
}

void msix_close(struct msix *msix)
{
	uint32_t i;

	for (i = 0; i < MSIX_VECTORS; i++) {
		if (msix->fds[i] < 0)
			continue;
		gmem_vm_irqfd(msix->router->vm, msix->fds[i], msix->gsi + i, 0);
		close(msix->fds[i]);
		msix->fds[i] = -1;
	}
}
