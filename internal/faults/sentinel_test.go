package faults_test

import (
	"testing"

	"github.com/rollcall-go/rollcall/internal/redistest"
)

func startUnderWatch(t *testing.T, _ setup) *deployment {
	w := redistest.Sentinels(t)
	w.DownAfter(patient)
	d := &deployment{Server: w.Server(), sentinels: w.Addrs, processes: 2}
	d.replicas = &underWatch{d: d, w: w}
	return d
}

// underWatch is replaced by the sentinels.
type underWatch struct {
	d    *deployment
	w    *redistest.Watched
	mend func() // when the replica is a master
}

func (u *underWatch) deafen() { u.mend = deafened(u.w.Master, u.w.Replica) }

func (u *underWatch) failOver(end func(*redistest.Server)) {
	u.w.DownAfter(impatient)
	end(u.w.Master)
	u.w.AwaitFailOver()
	u.w.DownAfter(patient)
	u.d.Server = u.w.Server()
	if u.mend != nil {
		u.mend()
		u.mend = nil
	}
}

func (u *underWatch) rejoin(begin func(*redistest.Server)) {
	begin(u.w.Replica)
	u.w.AwaitReplica()
}

// demote has the sentinels end all connections to the former master.
func (u *underWatch) demote() {
	u.w.FailOver()
	u.d.Server = u.w.Server()
}
