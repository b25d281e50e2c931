package luascripts

import "testing"

// Of a reply that decodes, each operation has a result, and no room two events.
func FuzzDecodeReply(f *testing.F) {
	const record = "1700000000000\x00\x03annhi"
	f.Add("1700000000000009 +=20:" + record + "0:0 .0:")
	f.Add("9 ++16:\x01C9 0 9 0 0 0\n>0:0 .0:")
	b := Batch{Node: "n", Ops: []Op{{Action: Add, Room: "a", Short: "1"}, {Action: Remove, Room: "b", Short: "1"}, {Action: Add, Room: "a", Short: "2"}}}
	f.Fuzz(func(t *testing.T, raw string) {
		reply, err := decodeReply(raw, b, layoutOf(b))
		if err == nil && (len(reply.Results) != len(b.Ops) || len(reply.Events) > 2) {
			t.Fatalf("%+v", reply)
		}
	})
}
