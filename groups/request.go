package groups

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/rollcall-go/rollcall/luascripts"
)

const (
	askTimeout = 5 * time.Second // if the caller's context has no deadline
	maxAnswers = 256             // requests that a node works on at once

	askAgain = 100 * time.Millisecond // while a living node does not hear

	answerTimeout = time.Second // for sending one while closing
)

// request asks the node that holds a channel to do something with it.
type request struct {
	ID      uint64          `json:"id"`
	From    string          `json:"from"` // the node to answer
	Op      string          `json:"op"`
	Timeout int64           `json:"timeout"` // ms
	Body    json.RawMessage `json:"body"`
}

// answer is the outcome of a request.
type answer struct {
	ID    uint64          `json:"id"`
	Body  json.RawMessage `json:"body,omitempty"`
	Error *remoteError    `json:"error,omitempty"`
}

// remoteError carries an error between nodes, so that errors.Is and errors.As find on
// the asking node what they would have found on the answering one.
type remoteError struct {
	Kind    string        `json:"kind"` // the text of the sentinel that the error wraps
	Text    string        `json:"text"`
	Invalid *InvalidError `json:"invalid,omitempty"`
}

// Responder does what another node asks for, and returns the answer.
type Responder func(ctx context.Context, body []byte) (any, error)

// requests are those in progress, to and from this node.
type requests struct {
	mu         sync.Mutex
	last       uint64
	waiting    map[uint64]chan answer
	responders map[string]Responder
	sentinels  []error
	slots      chan struct{}
	work       sync.WaitGroup
	ctx        context.Context // of the work; canceled by close
	stop       context.CancelFunc
}

func newRequests() *requests {
	ctx, stop := context.WithCancel(context.Background())
	return &requests{
		ctx: ctx, stop: stop,
		waiting:    make(map[uint64]chan answer),
		responders: make(map[string]Responder),
		sentinels:  []error{ErrUnknownChannel, ErrClosed, ErrUnavailable, ErrChannelClosed, luascripts.ErrNodeTaken, ErrMismatch},
		slots:      make(chan struct{}, maxAnswers),
	}
}

// Respond registers r for requests of other nodes to do op. An error that wraps one of
// the sentinels also does so on the asking node, if that knows the sentinel too.
func (l *Layer) Respond(op string, r Responder, sentinels ...error) {
	l.requests.mu.Lock()
	defer l.requests.mu.Unlock()
	l.requests.responders[op] = r
	for _, s := range sentinels {
		if !slices.Contains(l.requests.sentinels, s) {
			l.requests.sentinels = append(l.requests.sentinels, s)
		}
	}
}

// Ask asks the node that holds a channel to do op: see AskNode.
func (l *Layer) Ask(ctx context.Context, channel, op string, body, reply any) error {
	node, _, ok := SplitChannel(channel)
	if !ok {
		return fmt.Errorf("%w: %q", ErrUnknownChannel, channel)
	}
	return l.AskNode(ctx, node, op, body, reply)
}

// AskNode asks a node to do op, and decodes the answer into reply unless that is nil.
// It returns ErrUnknownChannel if the node is gone, and ErrNoAnswer if no answer came
// in time: 5 s if ctx has no deadline. A node whose lease is alive may have lost its
// subscriptions for a moment, so it is asked until it hears.
func (l *Layer) AskNode(ctx context.Context, node, op string, body, reply any) error {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, askTimeout)
		defer cancel()
	}
	raw, err := json.Marshal(body)
	if err != nil {
		return err
	}
	id, answered := l.requests.open()
	defer l.requests.drop(id)
	if err := l.reach(ctx, node, request{ID: id, From: l.opts.NodeID, Op: op, Body: raw}); err != nil {
		return err
	}
	select {
	case a := <-answered:
		if a.Error != nil {
			return l.requests.local(a.Error)
		}
		if reply == nil {
			return nil
		}
		return json.Unmarshal(a.Body, reply)
	case <-ctx.Done():
		return fmt.Errorf("%w: node %q: %w", ErrNoAnswer, node, ctx.Err())
	case <-l.done:
		return ErrClosed
	}
}

// reach sends a request to a node until it hears it, or is not alive.
func (l *Layer) reach(ctx context.Context, node string, q request) error {
	deadline, _ := ctx.Deadline()
	for first := true; ; first = false {
		q.Timeout = time.Until(deadline).Milliseconds()
		frame, err := json.Marshal(q)
		if err != nil {
			return err
		}
		heard, err := l.tell(ctx, node, encodePeer(kindRequest, frame))
		if heard > 0 || err != nil && (first || ctx.Err() == nil) {
			return err
		}
		if err := l.pauseIfAlive(ctx, node); err != nil {
			return err
		}
	}
}

// pauseIfAlive gives a node that is alive some time to hear again.
func (l *Layer) pauseIfAlive(ctx context.Context, node string) error {
	if err := l.unheard(ctx, node); !errors.Is(err, ErrNoAnswer) && ctx.Err() == nil {
		return err
	}
	pause := time.NewTimer(askAgain)
	defer pause.Stop()
	select {
	case <-pause.C:
	case <-ctx.Done():
	case <-l.done:
		return ErrClosed
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%w: node %q does not hear: %w", ErrNoAnswer, node, ctx.Err())
	}
	return nil
}

func (r *requests) open() (uint64, chan answer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last++
	answered := make(chan answer, 1)
	r.waiting[r.last] = answered
	return r.last, answered
}

func (r *requests) drop(id uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.waiting, id)
}

// resolve hands an answer to the call that waits for it.
func (r *requests) resolve(a answer) {
	r.mu.Lock()
	answered := r.waiting[a.ID]
	delete(r.waiting, a.ID)
	r.mu.Unlock()
	if answered != nil {
		answered <- a
	}
}

// serve works on another node's request, in the background.
func (l *Layer) serve(q request) {
	r := l.requests
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ctx.Err() != nil {
		return
	}
	select {
	case r.slots <- struct{}{}:
	default:
		l.stats.refused.Add(1)
		return // no answer, as from a frozen node
	}
	respond := r.responders[q.Op]
	r.work.Go(func() {
		defer func() { <-r.slots }()
		timeout := min(max(time.Duration(q.Timeout)*time.Millisecond, time.Millisecond), time.Minute)
		ctx, cancel := context.WithTimeout(r.ctx, timeout)
		defer cancel()
		a := answer{ID: q.ID}
		body, err := l.respond(ctx, respond, q)
		if err == nil {
			a.Body, err = json.Marshal(body)
		}
		if err != nil {
			a.Error = r.remote(err)
		}
		frame, err := json.Marshal(a)
		if err == nil {
			err = l.answer(ctx, q.From, frame)
		}
		if err != nil {
			l.log.Warn("request not answered", zap.String("op", q.Op), zap.String("from", q.From), zap.Error(err))
		}
	})
}

// answer is sent even if this node closes meanwhile: who asked waits for it.
func (l *Layer) answer(ctx context.Context, node string, frame []byte) error {
	_, err := l.tell(ctx, node, encodePeer(kindAnswer, frame))
	if ctx.Err() == nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerTimeout)
	defer cancel()
	_, err = l.tell(ctx, node, encodePeer(kindAnswer, frame))
	return err
}

func (l *Layer) respond(ctx context.Context, respond Responder, q request) (any, error) {
	if respond == nil {
		return nil, fmt.Errorf("rollcall: node %q cannot do %q", l.opts.NodeID, q.Op)
	}
	return respond(ctx, q.Body)
}

func (r *requests) remote(err error) *remoteError {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := &remoteError{Text: err.Error()}
	errors.As(err, &e.Invalid)
	for _, s := range r.sentinels {
		if errors.Is(err, s) {
			e.Kind = s.Error()
			break
		}
	}
	return e
}

// local returns the error for another node's answer, with the sentinel it wraps.
func (r *requests) local(e *remoteError) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e.Invalid != nil {
		return e.Invalid
	}
	for _, s := range r.sentinels {
		if s.Error() == e.Kind {
			return &answeredError{text: e.Text, kind: s}
		}
	}
	return &answeredError{text: e.Text}
}

// answeredError is an error that another node returned.
type answeredError struct {
	text string
	kind error
}

func (e *answeredError) Error() string { return e.text }
func (e *answeredError) Unwrap() error { return e.kind }

// close cancels the requests of other nodes, refuses more, and waits for their end until
// the context ends.
func (r *requests) close(ctx context.Context) {
	r.mu.Lock()
	r.stop()
	r.mu.Unlock()
	idle := make(chan struct{})
	go func() {
		r.work.Wait()
		close(idle)
	}()
	select {
	case <-idle:
	case <-ctx.Done():
	}
}

// encodePeer frames a request or an answer.
func encodePeer(kind byte, body []byte) string {
	return string([]byte{frameVersion, kind}) + string(body)
}

// peer handles a request or an answer from another node.
func (l *Layer) peer(kind byte, body string) {
	var err error
	if kind == kindRequest {
		var q request
		if err = json.Unmarshal([]byte(body), &q); err == nil {
			l.serve(q)
		}
	} else {
		var a answer
		if err = json.Unmarshal([]byte(body), &a); err == nil {
			l.requests.resolve(a)
		}
	}
	if err != nil {
		l.malformed("inbox")
	}
}
