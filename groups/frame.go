package groups

import (
	"encoding/binary"
	"errors"
	"strings"
)

// Every frame on the bus begins with a version and a kind.
const (
	frameVersion = 1

	kindMessage = 'M' // type, payload
	kindDirect  = 'D' // short name of a channel, type, payload
	kindRequest = 'Q' // a node's request to another, as JSON
	kindAnswer  = 'A' // the answer to it, as JSON
	kindEvent   = 'C' // a change of a room, published by the scripts
)

var errFrame = errors.New("rollcall: malformed frame")

func encodeMessage(m Message) string {
	var b strings.Builder
	b.Grow(2 + binary.MaxVarintLen32 + len(m.Type) + len(m.Payload))
	b.WriteByte(frameVersion)
	b.WriteByte(kindMessage)
	writeString(&b, m.Type)
	b.Write(m.Payload)
	return b.String()
}

func encodeDirect(short string, m Message) string {
	var b strings.Builder
	b.Grow(2 + 2*binary.MaxVarintLen32 + len(short) + len(m.Type) + len(m.Payload))
	b.WriteByte(frameVersion)
	b.WriteByte(kindDirect)
	writeString(&b, short)
	writeString(&b, m.Type)
	b.Write(m.Payload)
	return b.String()
}

func writeString(b *strings.Builder, s string) {
	var length [binary.MaxVarintLen32]byte
	b.Write(binary.AppendUvarint(length[:0], uint64(len(s))))
	b.WriteString(s)
}

// frameKind returns the kind of a frame and its body.
func frameKind(data string) (kind byte, body string, err error) {
	if len(data) < 2 || data[0] != frameVersion {
		return 0, "", errFrame
	}
	return data[1], data[2:], nil
}

func decodeMessage(body string) (Message, error) {
	typ, payload, err := cutString(body)
	if err != nil {
		return Message{}, err
	}
	return Message{Type: strings.Clone(typ), Payload: []byte(payload)}, nil
}

func decodeDirect(body string) (short string, m Message, err error) {
	short, rest, err := cutString(body)
	if err != nil {
		return "", Message{}, err
	}
	m, err = decodeMessage(rest)
	return short, m, err
}

// cutString reads a length-prefixed string.
func cutString(s string) (value, rest string, err error) {
	var head [binary.MaxVarintLen32]byte
	length, n := binary.Uvarint(head[:copy(head[:], s)])
	if n <= 0 || length > uint64(len(s)-n) {
		return "", "", errFrame
	}
	return s[n : n+int(length)], s[n+int(length):], nil
}
