/* SPDX-License-Identifier: MIT */
/*
 * The devices that a guest cannot find by itself: ACPI's differentiated system
 * description table, compiled by iasl when gmem is built. Addresses, ports and
 * interrupts are those of machine/layout.h; tests/vmm/acpi compares them. The
 * processors, as many as there are, come in a table of their own (acpi.c).
 */
DefinitionBlock ("dsdt.aml", "DSDT", 2, "GMEM", "GMEMDSDT", 1)
{
    /* Off; there is no other sleep. The value goes to the sleep control register. */
    Name (_S5, Package () { 5, 0, 0, 0 })

    Scope (_SB)
    {
        /* One bus. Its functions signal by message, so there is no _PRT. */
        Device (PCI0)
        {
            Name (_HID, EisaId ("PNP0A03"))
            Name (_UID, 0)
            Name (_SEG, 0)
            Name (_BBN, 0)
            Name (_CRS, ResourceTemplate ()
            {
                WordBusNumber (ResourceProducer, MinFixed, MaxFixed, PosDecode,
                    0, 0, 0, 0, 1)
                /* Configuration mechanism 1 */
                IO (Decode16, 0x0CF8, 0x0CF8, 1, 8)
                DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed,
                    NonCacheable, ReadWrite,
                    0, 0xC0000000, 0xDFFFFFFF, 0, 0x20000000)
            })
        }

        Device (COM1)
        {
            Name (_HID, EisaId ("PNP0501"))
            Name (_UID, 1)
            Name (_CRS, ResourceTemplate ()
            {
                IO (Decode16, 0x03F8, 0x03F8, 1, 8)
                Interrupt (ResourceConsumer, Edge, ActiveHigh, Exclusive) { 4 }
            })
        }

        /* Without an alarm, and so without an interrupt. */
        Device (RTC0)
        {
            Name (_HID, EisaId ("PNP0B00"))
            Name (_UID, 0)
            Name (_CRS, ResourceTemplate ()
            {
                IO (Decode16, 0x0070, 0x0070, 1, 2)
            })
        }

        /* The power button */
        Device (PWRB)
        {
            Name (_HID, EisaId ("PNP0C0C"))
            Name (_UID, 0)
        }

        /* What raises interrupts for ACPI's own events: the button. */
        Device (GED0)
        {
            Name (_HID, "ACPI0013")
            Name (_UID, 0)
            Name (_CRS, ResourceTemplate ()
            {
                Interrupt (ResourceConsumer, Level, ActiveHigh, Exclusive) { 9 }
            })

            /* devices/power.h: to read it clears it, and lowers the interrupt. */
            OperationRegion (EVTR, SystemIO, 0x0603, 1)
            Field (EVTR, ByteAcc, NoLock, Preserve)
            {
                EVTS, 8
            }

            Method (_EVT, 1, Serialized)
            {
                Local0 = EVTS
                If (Local0 & 1)
                {
                    Notify (PWRB, 0x80)
                }
            }
        }

        /* The registers of devices/power.h, so that nobody else is given them. */
        Device (PWRR)
        {
            Name (_HID, EisaId ("PNP0C02"))
            Name (_UID, 0)
            Name (_CRS, ResourceTemplate ()
            {
                IO (Decode16, 0x0600, 0x0600, 1, 4)
            })
        }
    }
}
