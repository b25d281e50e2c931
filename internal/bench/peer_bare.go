package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"sync"
)

// bareWire is a program that does nothing but write and read the bytes of
// Redis's protocol: nothing can be faster.
func bareWire(addr string, note func([]byte)) (*wire, error) {
	from, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	to, err := net.Dial("tcp", addr)
	if err != nil {
		from.Close()
		return nil, err
	}
	in := bufio.NewReader(to)
	if _, err := to.Write([]byte("SUBSCRIBE t\r\n")); err != nil {
		return nil, err
	}
	for range 6 { // *3, $9, subscribe, $1, t, :1
		if _, err := in.ReadString('\n'); err != nil {
			return nil, err
		}
	}
	var reader sync.WaitGroup
	reader.Go(func() {
		head := []byte("*3\r\n$7\r\nmessage\r\n$1\r\nt\r\n$256\r\n")
		frame := make([]byte, len(head)+payloadSize+2)
		for {
			if _, err := io.ReadFull(in, frame); err != nil || !bytes.HasPrefix(frame, head) {
				return
			}
			note(frame[len(head):][:payloadSize])
		}
	})
	out := bufio.NewReader(from)
	var queued []byte
	var replies int
	return &wire{
		publish: func(_ int, payload []byte) error {
			queued = fmt.Appendf(queued, "*3\r\n$7\r\nPUBLISH\r\n$1\r\nt\r\n$%d\r\n%s\r\n", len(payload), payload)
			replies++
			return nil
		},
		flush: func() error {
			if _, err := from.Write(queued); err != nil {
				return err
			}
			for queued = queued[:0]; replies > 0; replies-- {
				if _, err := out.ReadSlice('\n'); err != nil {
					return err
				}
			}
			return nil
		},
		dropped: func() int { return 0 },
		close: func() {
			from.Close()
			to.Close()
			reader.Wait()
		},
	}, nil
}
