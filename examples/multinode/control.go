package main

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// nodeStatus is a node as GET /fleet shows it. The supervisor knows everything except
// Alive: Redis knows that, and the node that is asked fills it in.
type nodeStatus struct {
	Node        int     `json:"node"`
	URL         string  `json:"url"`
	ID          string  `json:"id"` // its name in Redis, new after each start
	State       string  `json:"state"`
	Since       float64 `json:"since"` // seconds in this state
	Connections int     `json:"connections"`
	Alive       *bool   `json:"alive"` // whether its lease in Redis is current; null if it has none
}

// control lets nodes ask the supervisor about the fleet, and act on a node as the
// visitor wants to watch. Only this fleet's nodes know the token.
type control struct {
	url, token string
	server     *http.Server
}

func startControl(f *fleet) (*control, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	c := &control{url: "http://" + listener.Addr().String(), token: rand.Text()}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /fleet", func(w http.ResponseWriter, r *http.Request) {
		writeJSON(w, http.StatusOK, f.status())
	})
	mux.HandleFunc("POST /fleet/{node}/{action}", func(w http.ResponseWriter, r *http.Request) {
		number, err := strconv.Atoi(r.PathValue("node"))
		if err == nil {
			err = f.act(number, r.PathValue("action"))
		} else {
			err = errUnknown
		}
		switch {
		case errors.Is(err, errUnknown):
			writeError(w, http.StatusNotFound, err)
		case err != nil:
			writeError(w, http.StatusConflict, err)
		default:
			writeJSON(w, http.StatusAccepted, f.status())
		}
	})
	c.server = &http.Server{
		ReadHeaderTimeout: 5 * time.Second,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if subtle.ConstantTimeCompare([]byte(r.Header.Get("Authorization")), []byte("Bearer "+c.token)) != 1 {
				writeError(w, http.StatusForbidden, errors.New("not a node of this fleet"))
				return
			}
			mux.ServeHTTP(w, r)
		}),
	}
	go c.server.Serve(listener)
	return c, nil
}

func (c *control) stop() { c.server.Close() }

// ask makes one request of the supervisor, from a node.
func (c nodeConfig) ask(ctx context.Context, method, path string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, method, c.Control+path, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "Bearer "+c.Token)
	return http.DefaultClient.Do(r)
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		status, body = http.StatusInternalServerError, []byte(`{"error":"not expressible as JSON"}`)
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	w.Write(body)
}

func writeError(w http.ResponseWriter, status int, err error) {
	writeJSON(w, status, map[string]string{"error": err.Error()})
}

// The rest is the other end: what a node serves to the page.

// fleetStatus is the answer of GET /fleet.
type fleetStatus struct {
	Self   int          `json:"self"`    // the node that answers
	MaxAge float64      `json:"max_age"` // in seconds
	Lease  float64      `json:"lease"`   // in seconds
	Sweep  float64      `json:"sweep"`   // how often a node looks for older presences, in seconds
	Freeze float64      `json:"freeze"`  // how long a freeze lasts, in seconds
	Redis  bool         `json:"redis"`   // whether it answers this node
	Nodes  []nodeStatus `json:"nodes"`
}

func (n *node) serveFleet(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
	defer cancel()
	answer, err := n.config.ask(ctx, http.MethodGet, "/fleet")
	if err != nil {
		writeError(w, http.StatusBadGateway, fmt.Errorf("the supervisor does not answer: %w", err))
		return
	}
	defer answer.Body.Close()
	status := fleetStatus{
		Self:   n.config.Number,
		MaxAge: n.config.MaxAge.Seconds(),
		Lease:  lease.Seconds(),
		Sweep:  intervalsFor(n.config.MaxAge).sweep.Seconds(),
		Freeze: freezeTime.Seconds(),
	}
	if err := json.NewDecoder(answer.Body).Decode(&status.Nodes); err != nil {
		writeError(w, http.StatusBadGateway, err)
		return
	}
	// Even when Redis is away, report the processes, and no later than the page waits.
	ctx, cancel = context.WithTimeout(ctx, time.Second)
	defer cancel()
	if known, err := n.tracker.Nodes(ctx); err == nil {
		status.Redis = true
		alive := make(map[string]bool, len(known))
		for _, each := range known {
			alive[each.ID] = each.Alive
		}
		for i := range status.Nodes {
			if a, ok := alive[status.Nodes[i].ID]; ok {
				status.Nodes[i].Alive = &a
			}
		}
	}
	writeJSON(w, http.StatusOK, status)
}

// serveAction forwards what the page's buttons ask for.
func (n *node) serveAction(w http.ResponseWriter, r *http.Request) {
	path := "/fleet/" + url.PathEscape(r.PathValue("node")) + "/" + url.PathEscape(r.PathValue("action"))
	action := r.PathValue("action")
	itself := r.PathValue("node") == strconv.Itoa(n.config.Number) && (action == "crash" || action == "freeze")
	if itself {
		// This process may not survive, so it answers first.
		writeJSON(w, http.StatusAccepted, struct{}{})
		http.NewResponseController(w).Flush()
	}
	// After this answer the client may be gone, and r's context with it.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), 5*time.Second)
	defer cancel()
	answer, err := n.config.ask(ctx, http.MethodPost, path)
	if err != nil {
		if !itself {
			writeError(w, http.StatusBadGateway, fmt.Errorf("the supervisor does not answer: %w", err))
		}
		return
	}
	defer answer.Body.Close()
	if itself {
		return
	}
	w.Header().Set("Content-Type", answer.Header.Get("Content-Type"))
	w.WriteHeader(answer.StatusCode)
	io.Copy(w, answer.Body)
}

// onlyFleet refuses requests that change something unless they come from the fleet's
// own pages: a browser says which page makes a request. The host must be ours too, or a
// foreign name that points here would pass. Pages of other nodes, whose own node may be
// gone, may read.
func (n *node) onlyFleet(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		origin := r.Header.Get("Origin")
		host, cut := strings.CutPrefix(origin, "http://")
		ours := cut && n.isFleet(host)
		if r.Method != http.MethodGet && r.Method != http.MethodHead && (!n.isFleet(r.Host) || origin != "" && !ours) {
			writeError(w, http.StatusForbidden, errors.New("only this fleet's own pages may do that"))
			return
		}
		if ours {
			w.Header().Set("Access-Control-Allow-Origin", origin)
		}
		w.Header().Set("Vary", "Origin")
		next.ServeHTTP(w, r)
	})
}

func (n *node) isFleet(host string) bool {
	return slices.ContainsFunc(n.hosts, func(each string) bool { return strings.EqualFold(each, host) })
}
