// SPDX-License-Identifier: GPL-2.0-only
/*
 * Carrying out an answer of the pager: content for pages, or word that there is none.
 */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/module.h>
#include <linux/poll.h>
#include <linux/sched/signal.h>
#include <linux/uaccess.h>

#include "../fill/fill.h"
#include "../folio.h"
#include "../gmem.h"
#include "file.h"
#include "owed.h"

static int gmem_pager_continue(struct gmem_inode *gi, pgoff_t start, pgoff_t end, bool killable)
{
	for (pgoff_t index = start; index < end; index++) {
		if (gmem_page_is_missing(gi, index))
			return -ENOENT;
		if (killable ? fatal_signal_pending(current) : signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	gmem_pager_resolved(gi, start, end);
	return 0;
}

/**
 * gmem_pager_check_answer() - is an answer for pages of the inode?
 * @pager: the pager
 * @answer: the answer
 *
 * Context: Any.
 * Return: 0 or -EINVAL.
 */
int gmem_pager_check_answer(struct gmem_pager *pager, const struct kvm_gmem_answer *answer)
{
	if (!answer->size || !gmem_range_is_inside(pager->gi, answer->offset, answer->size))
		return -EINVAL;
	return 0;
}

/**
 * gmem_pager_answer_one() - carry out an answer
 * @pager: the pager
 * @answer: the answer; @answer->done is set in any case
 * @content: of COPY: the content; NULL: it is at @answer->from
 * @killable: only a fatal signal interrupts it, for a task that works for others
 *
 * Context: Process context, no lock held.
 * Return: 0 or -errno: -EINVAL for what makes no sense, and what docs/pager.md
 * says of the kinds of answers.
 */
int gmem_pager_answer_one(struct gmem_pager *pager, struct kvm_gmem_answer *answer,
			  const void *content, bool killable)
{
	struct gmem_inode *gi = pager->gi;
	pgoff_t start, end, done;
	int r;

	answer->done = 0;
	r = gmem_pager_check_answer(pager, answer);
	if (r)
		return r;

	start = answer->offset >> PAGE_SHIFT;
	end = (answer->offset + answer->size) >> PAGE_SHIFT;
	switch (answer->op) {
	case KVM_GMEM_ANSWER_COPY:
		return content || answer->from ?
		       gmem_fill_owed(gi, answer, content, killable) : -EINVAL;
	case KVM_GMEM_ANSWER_ZERO:
		return answer->from ? -EINVAL : gmem_fill_owed(gi, answer, NULL, killable);
	case KVM_GMEM_ANSWER_CONTINUE:
		r = answer->from ? -EINVAL : gmem_pager_continue(gi, start, end, killable);
		break;
	case KVM_GMEM_ANSWER_FAIL:
		if (answer->from)
			return -EINVAL;
		r = gmem_pager_fail(pager, start, end - start, &done);
		answer->done = (u64)done << PAGE_SHIFT;
		return r;
	default:
		return -EINVAL;
	}
	if (!r)
		answer->done = answer->size;
	return r;
}

/**
 * gmem_pager_answer() - KVM_GMEM_PAGER_ANSWER
 * @pager: the pager
 * @argp: struct kvm_gmem_pager_answer
 *
 * Context: Process context, no lock held.
 * Return: how many answers were carried out in full; -EFAULT, -EINVAL, or the first
 * one's error where there is none.
 */
long gmem_pager_answer(struct gmem_pager *pager, void __user *argp)
{
	struct kvm_gmem_answer __user *answers;
	struct kvm_gmem_pager_answer args;
	struct kvm_gmem_answer answer;
	int r = 0;
	u32 n;

	if (copy_from_user(&args, argp, sizeof(args)))
		return -EFAULT;
	if (args.flags || !args.nr || args.nr > KVM_GMEM_MAX_ANSWERS)
		return -EINVAL;

	answers = u64_to_user_ptr(args.answers);
	for (n = 0; n < args.nr; n++) {
		if (copy_from_user(&answer, answers + n, sizeof(answer)))
			return n ? n : -EFAULT;

		r = gmem_pager_answer_one(pager, &answer, NULL, false);
		answer.error = -r;
		if (copy_to_user(answers + n, &answer, sizeof(answer)))
			return n ? n : -EFAULT;
		if (r)
			break;
		cond_resched();
	}
	return n ? n : r;
}
