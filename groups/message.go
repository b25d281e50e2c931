package groups

import "encoding/json"

// Message is what is sent to a channel or to a group: a type, by which the
// receiver tells messages apart, and a payload that rollcall does not read.
//
// A received payload is shared by every member of the group on the node: do
// not modify it.
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
