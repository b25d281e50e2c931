package groups

import "encoding/json"

// Message is what is sent to a channel or a group: a type, by which the receiver tells
// messages apart, and a payload, which rollcall does not read.
//
// All members of the group on a node share a received payload: do not modify it.
type Message struct {
	Type    string
	Payload []byte
}

// NewJSON returns a message of the given type whose payload is v as JSON.
func NewJSON(typ string, v any) (Message, error) {
	payload, err := json.Marshal(v)
	if err != nil {
		return Message{}, err
	}
	return Message{Type: typ, Payload: payload}, nil
}

// Decode reads the payload, as JSON, into v.
func (m Message) Decode(v any) error {
	return json.Unmarshal(m.Payload, v)
}
