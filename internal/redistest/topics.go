package redistest

import (
	"context"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/rollcall-go/rollcall/internal/hashslot"
)

// The functions below are plain pub/sub, and on a cluster sharded pub/sub, where
// all that concerns a topic happens on the master of its slot.

// Publish publishes on a topic, and returns how many connections heard it.
func Publish(ctx context.Context, client redis.UniversalClient, topic, data string) (heard int64, err error) {
	if _, ok := client.(*redis.ClusterClient); ok {
		return client.SPublish(ctx, topic, data).Result()
	}
	return client.Publish(ctx, topic, data).Result()
}

// Subscribers returns how many connections are subscribed to a topic.
func Subscribers(ctx context.Context, client redis.UniversalClient, topic string) (int64, error) {
	var counts map[string]int64
	var err error
	if cluster, ok := client.(*redis.ClusterClient); ok {
		var master *redis.Client
		if master, err = cluster.MasterForKey(ctx, topic); err == nil {
			counts, err = master.PubSubShardNumSub(ctx, topic).Result()
		}
	} else {
		counts, err = client.PubSubNumSub(ctx, topic).Result()
	}
	return counts[topic], err
}

// Subscribe returns what topics carry from now on, until t ends. Messages are in
// order, on a cluster those of one slot.
func Subscribe(t testing.TB, client redis.UniversalClient, topics ...string) <-chan *redis.Message {
	t.Helper()
	messages := make(chan *redis.Message, 1000)
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	listen := func(ps *redis.PubSub, topics []string) {
		for range topics {
			if _, err := ps.Receive(t.Context()); err != nil {
				t.Fatalf("subscribe: %v", err)
			}
		}
		ended := make(chan struct{})
		t.Cleanup(func() {
			cancel()
			_ = ps.Close()
			<-ended
		})
		go func() {
			defer close(ended)
			for {
				m, err := ps.ReceiveMessage(ctx)
				if err != nil {
					return
				}
				select {
				case messages <- m:
				case <-ctx.Done():
					return
				}
			}
		}()
	}
	if _, ok := client.(*redis.ClusterClient); !ok {
		listen(client.Subscribe(t.Context(), topics...), topics)
		return messages
	}
	bySlot := make(map[int][]string)
	for _, topic := range topics {
		slot := hashslot.Of(topic)
		bySlot[slot] = append(bySlot[slot], topic)
	}
	for _, topics := range bySlot {
		listen(client.SSubscribe(t.Context(), topics...), topics)
	}
	return messages
}
