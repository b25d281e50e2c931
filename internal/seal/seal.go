// Package seal encrypts and authenticates with a list of keys, so that keys can be
// replaced while others still use the old ones: the first key seals, every key opens.
//
// It uses AES-GCM with random nonces of 96 bits. A key should seal no more than 2^32
// times, over all processes that have it.
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"fmt"

	"github.com/rollcall-go/rollcall/luascripts"
)

// Overhead is the number of bytes that sealing adds: nonce and tag.
const Overhead = 12 + 16

// ErrOpen means that none of the keys opens what was sealed: it was sealed with another
// key or for another place, or has been changed.
var ErrOpen = errors.New("rollcall: does not open")

// Sealer is safe for concurrent use. A nil Sealer has no keys.
type Sealer struct {
	aeads []cipher.AEAD
}

// New returns a Sealer, or nil if there are no keys. It does not keep the slices. If a
// key is not 16, 24 or 32 bytes long, the error is an *luascripts.InvalidError, which
// does not quote the key.
func New(keys [][]byte) (*Sealer, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	s := &Sealer{aeads: make([]cipher.AEAD, len(keys))}
	for i, key := range keys {
		block, err := aes.NewCipher(key)
		if err != nil {
			return nil, invalid(i, fmt.Sprintf("%d bytes, not 16, 24 or 32", len(key)))
		}
		if s.aeads[i], err = cipher.NewGCMWithRandomNonce(block); err != nil {
			return nil, invalid(i, err.Error())
		}
	}
	return s, nil
}

func invalid(i int, reason string) error {
	return &luascripts.InvalidError{Field: "Keys", Value: fmt.Sprintf("key %d", i), Reason: reason}
}

// Seal encrypts plaintext with the first key. The result opens only with the same aad,
// which says where it belongs. A nil Sealer returns the plaintext itself.
func (s *Sealer) Seal(plaintext, aad []byte) []byte {
	if s == nil {
		return plaintext
	}
	return s.aeads[0].Seal(make([]byte, 0, len(plaintext)+Overhead), nil, plaintext, aad)
}

// Open decrypts what one of the keys sealed, into a new slice. A nil Sealer opens
// nothing.
func (s *Sealer) Open(sealed, aad []byte) ([]byte, error) {
	if s == nil || len(sealed) < Overhead {
		return nil, ErrOpen
	}
	plaintext := make([]byte, 0, len(sealed)-Overhead)
	for _, aead := range s.aeads {
		if opened, err := aead.Open(plaintext, nil, sealed, aad); err == nil {
			return opened, nil
		}
	}
	return nil, ErrOpen
}
