/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Stand-ins for the kernel functions that kmod/attrs' maps use. There are no readers under RCU
 * here; an allocation can be made to fail.
 */
#ifndef GMEM_TESTS_ATTRS_KERNEL_H
#define GMEM_TESTS_ATTRS_KERNEL_H

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

#define __rcu
#define BITS_PER_LONG		64
#define BIT(n)			(1UL << (n))
#define BIT_WORD(n)		((n) / BITS_PER_LONG)
#define GENMASK(high, low)	((~0UL << (low)) & (~0UL >> (BITS_PER_LONG - 1 - (high))))
#define READ_ONCE(x)		(x)
#define WRITE_ONCE(x, to)	((x) = (to))

#define rcu_dereference_raw(p)	(p)
#define rcu_assign_pointer(p, to)	((p) = (to))
#define RCU_INIT_POINTER(p, to)	((p) = (to))
#define guard(kind)		guard_of_##kind
#define kfree_rcu(p, ...)	kfree(p)

#define GFP_KERNEL_ACCOUNT	0
#define SLAB_ACCOUNT		0
#define WQ_UNBOUND		0
#define struct_size(p, ...)	SIZE_OF(*(p), __VA_ARGS__)
#define SIZE_OF(head, member, n)	(sizeof(head) + sizeof((head).member[0]) * (n))
#define KMEM_CACHE(name, ...)	kmem_cache_of(sizeof(struct name))
#define INIT_RCU_WORK(rwork, fn)	((rwork)->work.func = (fn))

#define container_of(at, type, part)	\
	((type *)((char *)(at) - __builtin_offsetof(type, part)))

#define gfp_t			unsigned int

struct rcu_head {
	void *next;
	void *func;
};

struct work_struct {
	void (*func)(struct work_struct *work);
};

struct rcu_work {
	struct work_struct work;
};

struct workqueue_struct;

struct kmem_cache {
	size_t size;
};

/* How many objects there are, and which allocation from now on fails; 0: none. */
extern long objects;
extern int failing;

static inline unsigned long min(unsigned long a, unsigned long b)
{
	return a < b ? a : b;
}

static inline unsigned long rounddown(unsigned long x, unsigned long by)
{
	return x - x % by;
}

static inline unsigned long round_up(unsigned long x, unsigned long by)
{
	return rounddown(x + by - 1, by);
}

static inline void guard_of_rcu(void)
{
}

static inline void cond_resched(void)
{
}

static inline void rcu_barrier(void)
{
}

static inline unsigned long __ffs(unsigned long word)
{
	return __builtin_ctzl(word);
}

static inline unsigned long __fls(unsigned long word)
{
	return BITS_PER_LONG - 1 - __builtin_clzl(word);
}

static inline unsigned int fls_long(unsigned long word)
{
	return word ? __fls(word) + 1 : 0;
}

static inline unsigned long roundup_pow_of_two(unsigned long n)
{
	return n > 1 ? 1UL << fls_long(n - 1) : 1;
}

static inline bool xa_is_value(const void *entry)
{
	return (unsigned long)entry & 1;
}

static inline void *xa_mk_value(unsigned long value)
{
	return (void *)(value << 1 | 1);
}

static inline unsigned long xa_to_value(const void *entry)
{
	return (unsigned long)entry >> 1;
}

static inline void *kzalloc(size_t size, gfp_t gfp)
{
	if (failing && !--failing)
		return NULL;
	objects++;
	return calloc(1, size);
}

static inline void *kmalloc(size_t size, gfp_t gfp)
{
	return kzalloc(size, gfp);
}

static inline void kfree(void *object)
{
	objects -= !!object;
	free(object);
}

static inline struct kmem_cache *kmem_cache_of(size_t size)
{
	struct kmem_cache *cache = malloc(sizeof(*cache));

	if (cache)
		cache->size = size;
	return cache;
}

static inline void kmem_cache_destroy(struct kmem_cache *cache)
{
	free(cache);
}

static inline void *kmem_cache_alloc(struct kmem_cache *cache, gfp_t gfp)
{
	return kzalloc(cache->size, gfp);
}

static inline void kmem_cache_free(struct kmem_cache *cache, void *object)
{
	kfree(object);
}

static inline struct workqueue_struct *alloc_workqueue(const char *name, int flags, int max)
{
	return (void *)1;
}

static inline void destroy_workqueue(struct workqueue_struct *wq)
{
}

static inline struct rcu_work *to_rcu_work(struct work_struct *work)
{
	return (struct rcu_work *)work;
}

static inline void queue_rcu_work(struct workqueue_struct *wq, struct rcu_work *work)
{
	work->work.func(&work->work);
}

#endif /* GMEM_TESTS_ATTRS_KERNEL_H */
