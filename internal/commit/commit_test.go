package commit_test

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/rollcall-go/rollcall/internal/commit"
	"github.com/rollcall-go/rollcall/internal/redistest"
)

func TestMain(m *testing.M) { redistest.Main(m) }

func all(pending []int) int { return len(pending) }

func TestBatchesWhileBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate, batches := make(chan struct{}), [][]int(nil)
		q := commit.NewQueue(all, func(batch []int) {
			batches = append(batches, batch)
			<-gate
		})
		q.Push(1) // goes at once
		synctest.Wait()
		for i := range 4 {
			q.Push(2 + i)
		}
		synctest.Wait()
		if len(batches) != 1 || !slices.Equal(batches[0], []int{1}) {
			t.Fatal(batches)
		}
		gate <- struct{}{}
		synctest.Wait()
		if len(batches) != 2 || !slices.Equal(batches[1], []int{2, 3, 4, 5}) {
			t.Fatal(batches)
		}
		q.Push(6) // while the second runs
		gate <- struct{}{}
		gate <- struct{}{}
		q.Wait()
		if len(batches) != 3 || !slices.Equal(batches[2], []int{6}) {
			t.Fatal(batches)
		}
		close(gate)
		q.Push(7) // after it was idle
		q.Wait()
		if len(batches) != 4 {
			t.Fatal(batches)
		}
	})
}

func TestTakeBoundsABatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate, batches := make(chan struct{}), [][]int(nil)
		q := commit.NewQueue(func(pending []int) int { return min(2, len(pending)) }, func(batch []int) {
			batches = append(batches, batch)
			<-gate
		})
		for i := range 6 {
			q.Push(i)
			synctest.Wait()
		}
		close(gate)
		q.Wait()
		want := [][]int{{0}, {1, 2}, {3, 4}, {5}}
		if !slices.EqualFunc(batches, want, slices.Equal) {
			t.Fatalf("%v, want %v", batches, want)
		}
	})
}

func TestWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		q := commit.NewQueue(all, func([]int) { <-gate })
		q.Wait() // nothing to wait for
		q.Push(1)
		synctest.Wait() // it runs, so 2 is a batch of its own
		q.Push(2)
		done := make(chan struct{})
		go func() {
			defer close(done)
			q.Wait()
		}()
		for range 2 { // 1, then 2
			synctest.Wait()
			select {
			case <-done:
				t.Fatal("did not wait")
			default:
			}
			gate <- struct{}{}
		}
		<-done
	})
}

// The order of each caller is kept, no item is lost, and no two batches run at
// a time: seen is not guarded otherwise.
func TestConcurrentPush(t *testing.T) {
	const callers, each = 16, 200
	seen := make([]int, callers)
	q := commit.NewQueue(
		func(pending [][2]int) int { return min(7, len(pending)) },
		func(batch [][2]int) {
			for _, item := range batch {
				if seen[item[0]] != item[1] {
					t.Errorf("caller %d: item %d, want %d", item[0], item[1], seen[item[0]])
				}
				seen[item[0]]++
			}
		})
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			for i := range each {
				q.Push([2]int{c, i})
			}
		})
	}
	wg.Wait()
	q.Wait()
	for c, n := range seen {
		if n != each {
			t.Errorf("caller %d: %d items", c, n)
		}
	}
}

// While a batch takes long, callers that give up leave no more items than those that
// wait, and these keep their order.
func TestWhoGivesUpIsTakenOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate, longest, done := make(chan struct{}), 0, []int(nil)
		q := commit.NewQueue(
			func(pending []int) int { longest = max(longest, len(pending)); return len(pending) },
			func(batch []int) {
				done = append(done, batch...)
				<-gate
			})
		q.Push(-1) // takes long
		synctest.Wait()
		gone := func(i int) bool { return i%100 != 0 }
		var want []int
		for i := range 10_000 {
			q.Push(i)
			if gone(i) {
				q.GiveUp(gone)
			} else {
				want = append(want, i)
			}
		}
		close(gate)
		q.Wait()
		if longest > 2*len(want) {
			t.Errorf("%d items in the queue of %d callers", longest, len(want))
		}
		if got := slices.DeleteFunc(done[1:], gone); !slices.Equal(got, want) {
			t.Errorf("carried out %v, want %v", got, want)
		}
	})
}
