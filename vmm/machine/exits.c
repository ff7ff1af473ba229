// SPDX-License-Identifier: MIT
#include <errno.h>
#include <inttypes.h>
#include <linux/kvm_gmem.h>
#include <string.h>

#include "common/say.h"
#include "common/status.h"
#include "guest/layout.h"
#include "live/publish.h"
#include "machine/exits.h"
#include "virtio/device.h"

/*
 * Only the vCPU that completed the awaited line stands still. This is checked under the lock that
 * the line was written under.
 */
static enum verdict after_output(struct machine *machine)
{
	if (!machine->console.came)
		return GO_ON;
	machine->console.came = false;
	return STAND_STILL;
}

/* The demonstration's guest knows two ports. */
static enum verdict exit_io_counting(struct machine *machine, struct kvm_run *run,
				     int *status)
{
	const char *data = (char *)run + run->io.data_offset;
	enum verdict verdict;

	if (run->io.direction == KVM_EXIT_IO_OUT &&
	    run->io.port == GUEST_PORT_CONSOLE) {
		pthread_mutex_lock(&machine->device_lock);
		console_write(&machine->console, data,
			      (size_t)run->io.size * run->io.count);
		verdict = after_output(machine);
		pthread_mutex_unlock(&machine->device_lock);
		return verdict;
	}
	if (run->io.direction == KVM_EXIT_IO_OUT &&
	    run->io.port == GUEST_PORT_END) {
		*status = *data ? EXIT_GUEST : EXIT_DONE;
		say("the guest ended with status %d", *data);
		return ENDED;
	}
	say("the guest used port 0x%x, where there is no device", run->io.port);
	return ENDED;
}

/* Configuration of PCI. False: it is another device's port. */
static bool exit_io_pci(struct machine *machine, struct kvm_run *run)
{
	uint8_t *data = (uint8_t *)run + run->io.data_offset;
	uint16_t offset = run->io.port - PCI_PORT;
	uint32_t i;

	if (run->io.port < PCI_PORT || offset + run->io.size > PCI_PORTS)
		return false;
	for (i = 0; i < run->io.count; i++, data += run->io.size) {
		if (run->io.direction == KVM_EXIT_IO_OUT)
			pci_port_write(&machine->pci, offset, data, run->io.size);
		else
			pci_port_read(&machine->pci, offset, data, run->io.size);
	}
	return true;
}

/* Writes to the address choose a function; writes to the data may change any. */
static uint64_t changed_by_io(const struct kvm_run *run)
{
	if (run->io.port < PCI_PORT || run->io.port >= PCI_PORT + PCI_PORTS)
		return PUBLISH_PC;
	if (run->io.direction != KVM_EXIT_IO_OUT)
		return 0;
	return run->io.port < PCI_PORT + PCI_PORTS / 2 ? PUBLISH_PCI :
							 PUBLISH_PCI | PUBLISH_ALL_VIRTIO;
}

static uint64_t changed_by_mmio(const struct machine *machine, const struct kvm_run *run)
{
	uint64_t slot = (run->mmio.phys_addr - PCI_WINDOW) / PCI_BAR_SIZE;
	unsigned int i;

	for (i = 0; run->mmio.is_write && i < machine->nr_virtio; i++)
		if (machine->virtio[i]->function.slot == slot)
			return PUBLISH_VIRTIO(i);
	return 0;
}

static enum verdict exit_io(struct machine *machine, struct gmem_vcpu *vcpu, int error,
			    int *status)
{
	struct kvm_run *run = vcpu->run;
	enum power_request request;
	enum verdict verdict;

	(void)error;
	if (!machine->pc.present)
		return exit_io_counting(machine, run, status);
	pthread_mutex_lock(&machine->device_lock);
	request = exit_io_pci(machine, run) ? POWER_STAYS : pc_io(&machine->pc, run);
	verdict = after_output(machine);
	if (request == POWER_STAYS)
		publish_answer(machine, vcpu, changed_by_io(run));
	pthread_mutex_unlock(&machine->device_lock);
	if (request == POWER_STAYS)
		return verdict;
	*status = EXIT_DONE;
	say(request == POWER_RESETS ? "the guest reset itself" : "the guest powered off");
	return ENDED;
}

static enum verdict exit_mmio(struct machine *machine, struct gmem_vcpu *vcpu, int error,
			      int *status)
{
	struct kvm_run *run = vcpu->run;

	(void)error;
	(void)status;
	if (machine->pc.present) {
		pthread_mutex_lock(&machine->device_lock);
		if (run->mmio.is_write)
			pci_mmio_write(&machine->pci, run->mmio.phys_addr, run->mmio.data,
				       run->mmio.len);
		else
			pci_mmio_read(&machine->pci, run->mmio.phys_addr, run->mmio.data,
				      run->mmio.len);
		publish_answer(machine, vcpu, changed_by_mmio(machine, run));
		pthread_mutex_unlock(&machine->device_lock);
		return GO_ON;
	}
	say("the guest used address 0x%" PRIx64 ", where there is nothing",
	    (uint64_t)run->mmio.phys_addr);
	return ENDED;
}

static enum verdict exit_shutdown(struct machine *machine, struct gmem_vcpu *vcpu, int error,
				  int *status)
{
	(void)machine;
	(void)vcpu;
	(void)error;
	(void)status;
	say("the guest shut down: an exception that it did not handle");
	return ENDED;
}

static enum verdict exit_memory_fault(struct machine *machine, struct gmem_vcpu *vcpu,
				      int error, int *status)
{
	struct kvm_gmem_memory_fault fault;

	(void)machine;
	(void)status;
	memcpy(&fault, &vcpu->run->hw, sizeof(fault));
	if (error == -EHWPOISON) {
		say("the memory at 0x%" PRIx64 " has an error, or could not be given",
		    (uint64_t)fault.gpa);
		return ENDED;
	}
	say("the guest touched 0x%" PRIx64 " as %s memory, which it is not",
	    (uint64_t)fault.gpa,
	    fault.flags & KVM_MEMORY_EXIT_FLAG_PRIVATE ? "private" : "shared");
	return ENDED;
}

static const struct {
	uint32_t reason;
	enum verdict (*handle)(struct machine *machine, struct gmem_vcpu *vcpu, int error,
			       int *status);
} exits[] = {
	{ KVM_EXIT_IO, exit_io },
	{ KVM_EXIT_MMIO, exit_mmio },
	{ KVM_EXIT_SHUTDOWN, exit_shutdown },
	{ KVM_EXIT_MEMORY_FAULT, exit_memory_fault },
};

enum verdict exit_handle(struct machine *machine, struct gmem_vcpu *vcpu, int error,
			 int *status)
{
	uint32_t reason = vcpu->run->exit_reason;
	size_t i;

	for (i = 0; i < sizeof(exits) / sizeof(exits[0]); i++)
		if (exits[i].reason == reason)
			return exits[i].handle(machine, vcpu, error, status);
	say("the guest left for a reason that is not known here: %u", reason);
	return ENDED;
}
