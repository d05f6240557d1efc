package documentparse

import "context"

func readOpenAPI(ctx context.Context, b *builder, src string) error { readPlain(b, src); return nil }
