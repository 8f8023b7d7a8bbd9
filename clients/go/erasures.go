package postroad

import (
	"context"
	"net/http"
	"time"
)

// Erasures forgets addresses.
type Erasures struct{ c *Client }

// NewErasure is an address to forget.
type NewErasure struct {
	Recipient           string `json:"recipient"`
	IncludeSuppressions bool   `json:"include_suppressions,omitempty"` // it may be written to again
}

// Erasure is an order to forget an address, and how far it is.
type Erasure struct {
	Response
	ErasureID           string         `json:"erasure_id"`
	Object              string         `json:"object"`
	Status              string         `json:"status"` // "running", "done"
	Token               string         `json:"token"`  // what stands where the address stood
	IncludeSuppressions bool           `json:"include_suppressions"`
	CreatedAt           time.Time      `json:"created_at"`
	FinishedAt          time.Time      `json:"finished_at"`
	Counts              map[string]int `json:"counts"`
	Warnings            []Warning      `json:"warnings"`
}

// Create orders it, for both environments of the project. It cannot be taken back.
func (e *Erasures) Create(ctx context.Context, n NewErasure, options ...CallOption) (*Erasure, error) {
	return call[Erasure](ctx, e.c, http.MethodPost, at("erasures"), n, options)
}

// Get tells how far it is.
func (e *Erasures) Get(ctx context.Context, id string) (*Erasure, error) {
	return call[Erasure](ctx, e.c, http.MethodGet, at("erasures", id), nil, nil)
}

// Wait looks until it is done. The context bounds it.
func (e *Erasures) Wait(ctx context.Context, id string) (*Erasure, error) {
	return poll(ctx, func() (*Erasure, bool, error) {
		got, err := e.Get(ctx, id)
		return got, err == nil && got.Status != "running", err
	})
}
