/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * softpsp: the AMD Secure Processor's SEV firmware in software, for the lab.
 *
 *	main.c		the module
 *	device.c	/dev/sev
 *	exports.c	what kvm-amd calls, in place of ccp, under the names of names.h
 *	command.c	the mailbox: one command at a time, and the table of them
 *	platform.c	platform commands and state
 *	guest.c		guest contexts and their handles
 *	asid.c		ASIDs: activation, deactivation, flush
 *	launch.c	the launch of a guest, its measurement, its secrets
 *	session.c	the guest owner's transport keys
 *	debug.c		a guest's memory read and written for its debugger
 *	memory.c	physical memory, and what "encrypted" looks like in it
 *	crypto.c	HMAC, key derivation, AES-CTR
 *	cache.c		cache flushes, counted
 *	entry.c		entries of SEV-ES guests, and what tests have them do
 *	cpu.h		the CPU that all this belongs to
 *
 * Commands, their buffers and error codes are those of the "Secure Encrypted
 * Virtualization API" specification, version 0.24, and have its names. All
 * state is guarded by the mailbox's mutex: handlers of commands run under it.
 */
#ifndef SOFTPSP_H
#define SOFTPSP_H

#include <crypto/aes.h>
#include <crypto/sha2.h>
#include <linux/bits.h>
#include <linux/psp-sev.h>
#include <linux/types.h>
#include <linux/xarray.h>

#include "cpu.h"

struct softpsp_entry;

#define SOFTPSP_API_MAJOR	0
#define SOFTPSP_API_MINOR	24
#define SOFTPSP_BUILD		1

/* A guest's contexts take room in the firmware; so here too. */
#define SOFTPSP_MAX_GUESTS	1024

/* Guest policy. */
#define SOFTPSP_POLICY_NODBG	BIT(0)
#define SOFTPSP_POLICY_NOKS	BIT(1)
#define SOFTPSP_POLICY_ES	BIT(2)
#define SOFTPSP_POLICY_RESERVED	GENMASK(15, 6)
#define SOFTPSP_POLICY_API	GENMASK(31, 16)

/**
 * enum softpsp_gstate - a guest's state, as GUEST_STATUS reports it
 * @GSTATE_UNINIT:  no guest
 * @GSTATE_LUPDATE: launching: its memory and VMSAs are taken in
 * @GSTATE_LSECRET: launching: measured, its owner's secrets are taken in
 * @GSTATE_RUNNING: launched
 *
 * The specification's other states belong to SEND and RECEIVE commands, of
 * which there are none here.
 */
enum softpsp_gstate {
	GSTATE_UNINIT,
	GSTATE_LUPDATE,
	GSTATE_LSECRET,
	GSTATE_RUNNING,
};

/**
 * struct softpsp_guest - a guest context
 * @handle:    its name, an index of &softpsp.guests
 * @policy:    from LAUNCH_START
 * @asid:      the ASID that its key is installed for, 0: none, not active
 * @state:     see &enum softpsp_gstate
 * @transform: its memory is really transformed
 * @vek:       key of its memory
 * @tek:       transport encryption key, shared with the guest's owner
 * @tik:       transport integrity key, likewise
 * @digest:    running launch digest
 * @measure:   what LAUNCH_MEASURE said
 */
struct softpsp_guest {
	u32 handle;
	u32 policy;
	u32 asid;
	u8 state;
	bool transform;
	u8 vek[32];
	u8 tek[AES_KEYSIZE_128];
	u8 tik[AES_KEYSIZE_128];
	struct sha256_state digest;
	u8 measure[SHA256_DIGEST_SIZE];
};

/**
 * struct softpsp_asid - what the memory controller knows of an ASID
 * @guest: whose key is installed, or NULL
 * @stale: caches may hold lines of its last guest: no use before DF_FLUSH
 */
struct softpsp_asid {
	struct softpsp_guest *guest;
	bool stale;
};

/**
 * struct softpsp - the platform
 * @state:       an &enum sev_state
 * @config_es:   initialized for SEV-ES
 * @guest_count: number of @guests
 * @guests:      guest contexts by handle
 * @asids:       by ASID
 */
struct softpsp {
	u8 state;
	bool config_es;
	u32 guest_count;
	struct xarray guests;
	struct softpsp_asid asids[SOFTPSP_MAX_SEV_ASID + 1];
};

/*
 * A command's handler: @data is the command's buffer, @guest the context that
 * it names (NULL for commands of the platform, and for those that make a
 * context). Returns a sev_ret_code.
 */
typedef u32 softpsp_handler(struct softpsp *psp, struct softpsp_guest *guest,
			    void *data);

/* command.c */
int softpsp_issue(int id, void *data, int *error);
int softpsp_buffer_size(int id);
void softpsp_stop(void);

/* device.c */
int softpsp_register_device(void);
void softpsp_unregister_device(void);
bool softpsp_is_device(struct file *file);

/* platform.c */
softpsp_handler softpsp_init, softpsp_shutdown, softpsp_platform_status,
	softpsp_get_id;
void softpsp_reset(struct softpsp *psp);

/* guest.c */
softpsp_handler softpsp_guest_status, softpsp_decommission;
struct softpsp_guest *softpsp_find_guest(struct softpsp *psp, u32 handle);
u32 softpsp_add_guest(struct softpsp *psp, struct softpsp_guest *guest);
void softpsp_remove_guest(struct softpsp *psp, struct softpsp_guest *guest);

/* asid.c */
softpsp_handler softpsp_activate, softpsp_deactivate, softpsp_df_flush;
void softpsp_release_asid(struct softpsp *psp, struct softpsp_guest *guest);

/* launch.c */
softpsp_handler softpsp_launch_start, softpsp_launch_update_data,
	softpsp_launch_update_vmsa, softpsp_launch_measure,
	softpsp_launch_update_secret, softpsp_launch_finish;

/* session.c */
u32 softpsp_open_session(struct softpsp_guest *guest,
			 const struct sev_data_launch_start *start);

/* debug.c */
softpsp_handler softpsp_dbg_decrypt, softpsp_dbg_encrypt;

/* memory.c */
void *softpsp_memory(u64 address, u32 len);
void softpsp_crypt(const struct softpsp_guest *guest, u64 address, u8 *dst,
		   const u8 *src, u32 len);
bool softpsp_transforms(void);

/* cache.c */
u64 softpsp_flushes(void);

/* entry.c */
int softpsp_exchange_entry(struct softpsp_entry *entry);

/* crypto.c */
struct softpsp_hmac {
	struct sha256_state inner;
	u8 outer[SHA256_BLOCK_SIZE];
};

void softpsp_hmac_init(struct softpsp_hmac *hmac, const u8 *key, u32 len);
void softpsp_hmac_update(struct softpsp_hmac *hmac, const void *data, u32 len);
void softpsp_hmac_final(struct softpsp_hmac *hmac, u8 mac[SHA256_DIGEST_SIZE]);
bool softpsp_hmac_matches(struct softpsp_hmac *hmac,
			  const u8 mac[SHA256_DIGEST_SIZE]);
void softpsp_derive_key(u8 out[AES_KEYSIZE_128], const u8 *key, u32 key_len,
			const char *label, const u8 *context, u32 context_len);
int softpsp_aes_ctr(u8 *dst, const u8 *src, u32 len,
		    const u8 key[AES_KEYSIZE_128], const u8 iv[AES_BLOCK_SIZE]);

#endif /* SOFTPSP_H */
