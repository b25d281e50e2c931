// Package hashslot tells which of a Redis Cluster's slots a name belongs to.
package hashslot

import "strings"

// Count is the number of slots.
const Count = 16384

// Of returns the slot of a key or a topic: that of what stands between its first
// { and the next }, if that is not empty, else that of the whole name.
func Of(name string) int {
	if _, rest, ok := strings.Cut(name, "{"); ok {
		if tag, _, ok := strings.Cut(rest, "}"); ok && tag != "" {
			name = tag
		}
	}
	return int(crc16(name)) % Count
}

// crc16 is CRC-16/XMODEM.
func crc16(s string) uint16 {
	var crc uint16
	for i := range len(s) {
		crc ^= uint16(s[i]) << 8
		for range 8 {
			if crc&0x8000 != 0 {
				crc = crc<<1 ^ 0x1021
			} else {
				crc <<= 1
			}
		}
	}
	return crc
}
