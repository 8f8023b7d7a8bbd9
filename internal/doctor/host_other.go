//go:build !linux

package doctor

import "errors"

func clockSynced() (bool, error) { return false, errors.ErrUnsupported }

func freeSpace(string) (uint64, error) { return 0, errors.ErrUnsupported }
