/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The names under which softpsp exports what <linux/psp-sev.h> declares. The
 * kernel takes each symbol from one module, and ccp, built in or not, has these
 * by their own names; so they get others, where they are defined (exports.c)
 * and where they are called (svm/sev.o of the lab's build of kvm-amd). To be
 * included before <linux/psp-sev.h>.
 */
#ifndef SOFTPSP_NAMES_H
#define SOFTPSP_NAMES_H

#define sev_do_cmd			softpsp_sev_do_cmd
#define sev_platform_init		softpsp_sev_platform_init
#define sev_platform_shutdown		softpsp_sev_platform_shutdown
#define sev_issue_cmd_external_user	softpsp_sev_issue_cmd_external_user
#define sev_guest_activate		softpsp_sev_guest_activate
#define sev_guest_deactivate		softpsp_sev_guest_deactivate
#define sev_guest_decommission		softpsp_sev_guest_decommission
#define sev_guest_df_flush		softpsp_sev_guest_df_flush
#define psp_copy_user_blob		softpsp_psp_copy_user_blob
#define snp_alloc_firmware_page		softpsp_snp_alloc_firmware_page
#define snp_free_firmware_page		softpsp_snp_free_firmware_page

#endif /* SOFTPSP_NAMES_H */
