package postroad

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// List is a list that has not been read yet.
type List[T any] struct {
	client *Client
	parts  []string
	query  url.Values
	fault  error
}

// Page is a piece of a list.
type Page[T any] struct {
	Response
	Data       []*T
	HasMore    bool
	NextCursor string // for Page; "" when there is no more
	Total      *Total // nil unless the filter's Include has "total"
	Warnings   []Warning
}

// Paging is what every list can be asked.
type Paging struct {
	Limit  int    `query:"limit"` // entries of a page, 1 to 200; 0: 25
	Order  string `query:"order"` // "desc" (newest first), "asc"
	Cursor string `query:"cursor"`
	// Include asks for more: "total" of every list, "recipients" of messages.
	Include []string `query:"include"`
}

// Total is how many entries a list has on all its pages.
type Total struct {
	Count    int  `json:"count"`
	Estimate bool `json:"estimate"` // there are at least so many
}

func listOf[T any](c *Client, filter any, parts ...string) *List[T] {
	query, fault := queryOf(filter)
	return &List[T]{client: c, parts: parts, query: query, fault: fault}
}

// All goes through the whole list, page by page as they are needed. After an error it ends.
func (l *List[T]) All(ctx context.Context) iter.Seq2[*T, error] {
	return func(yield func(*T, error) bool) {
		cursor := ""
		for {
			page, err := l.Page(ctx, cursor)
			if err != nil {
				yield(nil, err)
				return
			}
			for _, entry := range page.Data {
				if !yield(entry, nil) {
					return
				}
			}
			if !page.HasMore || page.NextCursor == "" || page.NextCursor == cursor {
				return
			}
			cursor = page.NextCursor
		}
	}
}

// Page reads one: that of the filter when cursor is "", else the one NextCursor named.
func (l *List[T]) Page(ctx context.Context, cursor string) (*Page[T], error) {
	if l.fault != nil {
		return nil, l.fault
	}
	r, err := requestOf(http.MethodGet, l.parts, nil, nil)
	if err != nil {
		return nil, err
	}
	r.query = l.query
	if cursor != "" {
		r.query = url.Values{"cursor": {cursor}}
		for name, values := range l.query {
			if name != "cursor" {
				r.query[name] = values
			}
		}
	}
	return pageOf[T](l.client.do(ctx, r))
}

func pageOf[T any](got *answer, err error) (*Page[T], error) {
	if err != nil {
		return nil, err
	}
	var wire struct {
		Data       []json.RawMessage `json:"data"`
		HasMore    bool              `json:"has_more"`
		NextCursor string            `json:"next_cursor"`
		Total      *Total            `json:"total"`
		Warnings   []Warning         `json:"warnings"`
	}
	if err := json.Unmarshal(got.body, &wire); err != nil {
		return nil, notOurs(got, err)
	}
	page := &Page[T]{Data: make([]*T, len(wire.Data)), HasMore: wire.HasMore, NextCursor: wire.NextCursor, Total: wire.Total, Warnings: wire.Warnings}
	page.keep(got.body, got.header)
	for i, raw := range wire.Data {
		page.Data[i] = new(T)
		if err := json.Unmarshal(raw, page.Data[i]); err != nil {
			return nil, notOurs(got, err)
		}
		if k, ok := any(page.Data[i]).(keeper); ok {
			k.keep(raw, nil)
		}
	}
	return page, nil
}

// whole reads a list that comes in one piece.
func whole[T any](ctx context.Context, c *Client, parts ...string) ([]*T, error) {
	page, err := listOf[T](c, nil, parts...).Page(ctx, "")
	if err != nil {
		return nil, err
	}
	return page.Data, nil
}

// queryOf writes a filter's fields by their query tags; zero values are not asked for.
func queryOf(filter any) (url.Values, error) {
	query := url.Values{}
	if filter == nil {
		return query, nil
	}
	if err := addFields(query, reflect.ValueOf(filter)); err != nil {
		return nil, err
	}
	return query, nil
}

func addFields(query url.Values, v reflect.Value) error {
	for i := range v.NumField() {
		field, value := v.Type().Field(i), v.Field(i)
		if field.Anonymous {
			if err := addFields(query, value); err != nil {
				return err
			}
			continue
		}
		if value.IsZero() {
			continue
		}
		name, form, _ := strings.Cut(field.Tag.Get("query"), ",")
		switch x := value.Interface().(type) {
		case string:
			query.Set(name, x)
		case int:
			query.Set(name, strconv.Itoa(x))
		case int64:
			query.Set(name, strconv.FormatInt(x, 10))
		case bool:
			query.Set(name, "true")
		case *bool:
			query.Set(name, strconv.FormatBool(*x))
		case time.Time:
			query.Set(name, x.UTC().Format(time.RFC3339Nano))
		case time.Duration:
			query.Set(name, strconv.Itoa(int((x+time.Second-1)/time.Second)))
		case []string:
			if form == "repeat" {
				query[name] = x
			} else {
				query.Set(name, strings.Join(x, ","))
			}
		case map[string]string:
			for k, item := range x {
				query.Set(name+"["+k+"]", item)
			}
		default:
			return fmt.Errorf("postroad: a filter cannot hold a %T", x)
		}
	}
	return nil
}
