// SPDX-License-Identifier: MIT
/* pager IMAGE: a VM's memory comes from a file, each page when it is needed. */
#include <fcntl.h>
#include <gmem.h>
#include <linux/kvm_gmem.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define FLAGS (GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED)

/* The page server. It has the image and the pager: no view, no VM. */
static int serve(int pager, const char *image)
{
	struct kvm_gmem_event event;

	while (gmem_pager_read(pager, &event, 1) == 1) {
		struct kvm_gmem_answer answer = {
			.op = KVM_GMEM_ANSWER_COPY,
			.offset = event.offset,
			.size = event.size,
			.from = (uintptr_t)image + event.offset,
		};

		/* Somebody else may have been faster: that is no error here. */
		if (event.type == KVM_GMEM_EVENT_FAULT)
			gmem_pager_answer(pager, &answer, 1);
	}
	return 0;	/* the last view is gone, and the memory with it */
}

int main(int argc, char **argv)
{
	int file = argc == 2 ? open(argv[1], O_RDONLY) : -1;
	int kvm = gmem_kvm_open(), vm, view, pager;
	char *image, *memory;
	struct stat stat;

	if (file < 0 || fstat(file, &stat) || kvm < 0)
		return 1;
	image = mmap(NULL, stat.st_size, PROT_READ, MAP_PRIVATE, file, 0);
	vm = gmem_vm_create(kvm, KVM_X86_DEFAULT_VM);
	view = gmem_memfd_create(vm, stat.st_size, FLAGS);
	pager = gmem_pager_create(view, 0, stat.st_size, 0);
	if (image == MAP_FAILED || view < 0 || pager < 0)
		return 1;
	if (!fork()) {
		close(view);
		close(vm);
		return serve(pager, image);
	}
	/* In place of a guest, the host looks at all of the memory. */
	memory = mmap(NULL, stat.st_size, PROT_READ, MAP_SHARED, view, 0);
	return memory == MAP_FAILED ||
	       write(STDOUT_FILENO, memory, stat.st_size) != stat.st_size;
}
